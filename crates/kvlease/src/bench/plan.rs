//! Rows of the tables, and the memory that they take.

use std::fs;

use kvlease_client::ByteSize;
use rustix::fs::statvfs;

use crate::failure::{Failure, Status};

/// The fewest bytes of a round: more than a cache holds, and enough for a clock to measure.
pub(super) const ROUND_LEN: u64 = 256 << 20;

/// The most objects of one client in a round: this bounds the time of small sizes.
const OBJECTS_PER_CLIENT_MAX: u64 = 1024;

/// The most objects, and the most of their bytes, in a batch over the fast lane.
const BATCH_MAX: u64 = 128;
const BATCH_LEN_MAX: u64 = 64 << 20;

/// The part of the arena that a batch takes at most.
const BATCH_CAPACITY_PART: u64 = 2;

/// The smallest arena that is worth starting.
const CAPACITY_MIN: u64 = 64 << 20;

/// The directory that a daemon's segment is in by default.
pub(super) const SEGMENT_DIR: &str = "/dev/shm";

/// One row of the table: a number of clients that move objects of one size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    /// Length of an object.
    pub(super) size: ByteSize,
    /// Clients at a time.
    pub(super) clients: usize,
    /// Objects that each of them moves in a round.
    pub(super) objects: usize,
}

/// One row of the fast lane's table: one client that moves objects of one size in batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LaneCell {
    /// Length of an object.
    pub(super) size: ByteSize,
    /// Objects in a batch.
    pub(super) batch: usize,
    /// Objects that are moved in a round.
    pub(super) objects: usize,
}

/// Rows that are measured, and rows that are left out.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    cells: Vec<Cell>,
    lane: Vec<LaneCell>,
    clients: Vec<usize>,
    skipped: Vec<String>,
}

impl Cell {
    fn new(size: ByteSize, clients: usize, round_len: u64) -> Self {
        let once = size.bytes().saturating_mul(clients as u64).max(1);
        let objects = round_len.div_ceil(once).clamp(1, OBJECTS_PER_CLIENT_MAX);
        Self { size, clients, objects: objects as usize }
    }

    /// As many objects as a round needs, or as fit.
    fn fitting(size: ByteSize, clients: usize, usable: u64) -> Self {
        let cell = Self::new(size, clients, ROUND_LEN.min(usable));
        let fits = cell.round_len() <= usable;
        let objects = if fits { cell.objects } else { cell.objects - 1 };
        Self { objects, ..cell }
    }

    /// The bytes that all clients together move in a round.
    pub(super) fn round_len(self) -> u64 {
        self.size.bytes().saturating_mul(self.clients as u64).saturating_mul(self.objects as u64)
    }
}

impl LaneCell {
    /// The rows for what one client moves: one object at a time, and many. A batch is reserved with one
    /// request, so it keeps to a client's share of the arena.
    fn of(cell: Cell, capacity: ByteSize) -> impl Iterator<Item = Self> {
        let Cell { size, objects, .. } = cell;
        let len_max = BATCH_LEN_MAX.min(capacity.bytes() / BATCH_CAPACITY_PART);
        let many = (len_max / size.bytes().max(1)).clamp(1, BATCH_MAX) as usize;
        let many = Some(many.min(objects)).filter(|many| *many > 1);
        [Some(1), many].into_iter().flatten().map(move |batch| Self { size, batch, objects })
    }
}

impl Plan {
    /// Every combination that an arena of this capacity and the free memory can take.
    pub(super) fn new(
        sizes: &[ByteSize],
        clients: &[usize],
        capacity: ByteSize,
    ) -> Result<Self, Failure> {
        let available = available_memory()?;
        let (cells, lane, skipped) = (Vec::new(), Vec::new(), Vec::new());
        let mut plan = Self { cells, lane, clients: clients.to_vec(), skipped };
        let usable = capacity.bytes() / 5 * 4;
        for size in sizes {
            if size.bytes() <= usable.min(available / 4) {
                plan.lane.extend(LaneCell::of(Cell::fitting(*size, 1, usable), capacity));
            }
            for count in clients {
                let once = size.bytes().saturating_mul(*count as u64);
                if once > usable || once > available / 4 {
                    plan.skipped.push(format!("{size} x {count}"));
                } else {
                    plan.cells.push(Cell::fitting(*size, *count, usable));
                }
            }
        }
        Ok(plan)
    }

    /// The rows of the table.
    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The rows of the fast lane's table.
    pub(super) fn lane_cells(&self) -> &[LaneCell] {
        &self.lane
    }

    /// The numbers of clients.
    pub(super) fn clients(&self) -> &[usize] {
        &self.clients
    }

    /// Rows that the arena or the memory cannot take, as `SIZE x CLIENTS`.
    pub(super) fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Length of the source that all clients share.
    pub(super) fn source_len(&self) -> u64 {
        let sizes = self.cells.iter().map(|cell| cell.size);
        let sizes = sizes.chain(self.lane.iter().map(|row| row.size));
        sizes.map(ByteSize::bytes).max().unwrap_or(0).max(ROUND_LEN)
    }

    /// Length of the targets of all clients together.
    pub(super) fn target_len(&self) -> u64 {
        let at_once = self.cells.iter().map(|cell| cell.size.bytes() * cell.clients as u64);
        let largest = self.lane.iter().map(|row| row.size.bytes());
        at_once.chain(largest).max().unwrap_or(0).max(ROUND_LEN)
    }
}

/// A capacity for all combinations, or as much of it as this machine gives.
pub(super) fn capacity(sizes: &[ByteSize], clients: &[usize]) -> Result<ByteSize, Failure> {
    let rounds = sizes.iter().flat_map(|size| {
        clients.iter().map(|count| Cell::new(*size, *count, ROUND_LEN).round_len())
    });
    // A quarter more than is stored at a time, since freed extents are not whole at once.
    let wanted = rounds.max().unwrap_or(0).saturating_mul(5) / 4;
    let free = free_shared_memory()?;
    let bytes = wanted.max(CAPACITY_MIN).min(free / 2).min(available_memory()? / 3);
    // Whole MiB are whole pages.
    Ok(ByteSize::mib((bytes >> 20).max(1)))
}

/// Memory that a daemon and its clients may take, in bytes: half of what is free.
pub(super) fn spare_memory() -> Result<u64, Failure> {
    Ok(free_shared_memory()?.min(available_memory()?) / 2)
}

fn free_shared_memory() -> Result<u64, Failure> {
    let shm = statvfs(SEGMENT_DIR).map_err(|error| {
        Failure::new(
            Status::Io,
            format!("cannot look at the shared memory: mount a tmpfs there, {error}, dir=`{SEGMENT_DIR}`"),
        )
    })?;
    Ok(shm.f_bavail.saturating_mul(shm.f_frsize))
}

/// Memory that the kernel can give without swapping, in bytes.
fn available_memory() -> Result<u64, Failure> {
    let failed = |what: String| {
        Failure::new(Status::Io, format!("cannot tell the free memory: mount /proc, {what}"))
    };
    let text = fs::read_to_string("/proc/meminfo").map_err(|error| failed(error.to_string()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| failed("no MemAvailable in /proc/meminfo".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_long_enough_for_every_size_but_the_smallest() {
        for (size, clients, objects) in [
            (ByteSize::kib(256), 1, 1024),
            (ByteSize::mib(16), 1, 16),
            (ByteSize::mib(16), 64, 1),
            (ByteSize::mib(64), 64, 1),
            (ByteSize::kib(4), 1, 1024),
        ] {
            assert_eq!(Cell::new(size, clients, ROUND_LEN).objects, objects, "{size} x {clients}");
        }
    }

    #[test]
    fn rows_keep_within_the_arena() {
        let capacity = ByteSize::mib(100);
        let sizes = [ByteSize::mib(1), ByteSize::mib(30), ByteSize::mib(64)];
        let plan = Plan::new(&sizes, &[1, 4], capacity).unwrap();
        assert_eq!(plan.skipped(), ["30MiB x 4", "64MiB x 4"]);
        assert_eq!(plan.cells().len(), 4);
        for cell in plan.cells() {
            assert!(cell.objects > 0 && cell.round_len() <= 80 << 20, "{cell:?}");
        }
        let lane = plan.lane_cells().iter();
        let lane: Vec<_> =
            lane.map(|row| (row.size.bytes() >> 20, row.batch, row.objects)).collect();
        assert_eq!(lane, [(1, 1, 80), (1, 50, 80), (30, 1, 2), (64, 1, 1)]);
    }
}
