//! Reclaim of the oldest segment: what was read since it was written is written on, the rest forgotten.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use kvlease_types::ByteSize;

use super::Maintenance;
use crate::{
    fingerprint::Fingerprint,
    format::BLOCK,
    index::Indexed,
    rewrite::Record,
    segments::{Reservation, Room},
    shared::Shared,
    state::{State, Written, stat_of},
    table,
};

/// The part of a segment that is written on at most, so that a reclaim always gains room.
const MOVED_PART_MAX: u64 = 2;

/// The part of a segment that is written on however quickly reclaims follow each other.
const MOVED_PART: u64 = 16;

/// Bytes a second that are written on besides: stores have the rest of the device.
const MOVED_RATE: ByteSize = ByteSize::mib(128);

/// Objects that are looked at or forgotten in one hold of the lock: look-ups wait for it.
const LOCKED_MAX: usize = 512;

/// Object of the segment.
#[derive(Clone, Copy)]
struct Resident {
    fingerprint: Fingerprint,
    object: Indexed,
}

/// Object that is to be written on.
struct Planned {
    fingerprint: Fingerprint,
    record: Record,
}

/// Object that has room to be written on.
struct Move {
    planned: Planned,
    reservation: Reservation,
}

impl Maintenance {
    /// Reclaims the oldest segment, if too few are free.
    pub(super) fn reclaim(&mut self) -> io::Result<bool> {
        let Some((segment, sequence)) = self.shared.state().segments.start_reclaim() else {
            return Ok(false);
        };
        let residents = residents(&self.shared, segment, sequence);
        let moved = self.move_read(&residents)?;
        let Shared { device, geometry, .. } = &*self.shared;
        // What is written on has to be durable before the old records are gone.
        let synced = if moved.is_empty() { Ok(()) } else { device.sync() };
        let mut state = self.shared.state();
        for written in &moved {
            match synced {
                Ok(()) => state.commit(written),
                Err(_) => state.abandon(written.fingerprint, &written.reservation),
            }
        }
        drop(state);
        synced?;
        // The segment ends on the device first. Otherwise an object that is forgotten, and therefore
        // removed without a tombstone, would come back after a power loss.
        table::clear(&**device, geometry, segment)?;
        for some in residents.chunks(LOCKED_MAX) {
            let mut state = self.shared.state();
            for Resident { fingerprint, object } in some {
                state.forget(*fingerprint, object.place);
            }
        }
        self.shared.state().segments.end_reclaim();
        self.reclaimed_at = Instant::now();
        Ok(true)
    }

    /// Writes on what was read, within the bound. Returns what is written, and not yet committed.
    fn move_read(&mut self, residents: &[Resident]) -> io::Result<Vec<Written>> {
        let blocks = self.shared.geometry.blocks();
        let mut left = moved_blocks(blocks, self.reclaimed_at.elapsed());
        let mut planned = VecDeque::new();
        for resident in residents.iter().filter(|resident| resident.object.is_read) {
            // One object at least, if a reclaim gains room in spite of it.
            let most = if planned.is_empty() { blocks / MOVED_PART_MAX } else { left };
            let plan = self.plan(resident).filter(|plan| plan.record.layout.blocks <= most);
            let moved = plan.as_ref().map_or(0, |plan| plan.record.layout.blocks);
            left = left.saturating_sub(moved);
            planned.extend(plan);
        }
        let mut moves = Vec::new();
        reserve(&mut self.shared.state(), &mut planned, &mut moves);
        if !planned.is_empty() {
            // All of the rest at once: it fits the segment, which stores would fill otherwise.
            self.start_next(true, |state| reserve(state, &mut planned, &mut moves))?;
        }
        let mut moved = Vec::new();
        for Move { planned, reservation } in moves {
            let fingerprint = planned.fingerprint;
            match planned.record.copy(self.shared.log(), &reservation, &mut self.buffer) {
                Ok(true) => {
                    let stat = stat_of(&planned.record.object);
                    moved.push(Written { fingerprint, stat, reservation });
                }
                Ok(false) => self.shared.state().abandon(fingerprint, &reservation),
                Err(error) => {
                    self.shared.state().abandon(fingerprint, &reservation);
                    tracing::warn!(
                        "an object of the NVMe tier is forgotten: it cannot be moved: {error}"
                    );
                }
            }
        }
        Ok(moved)
    }

    /// Plans to write an object on; `None` if its header is not right.
    fn plan(&mut self, resident: &Resident) -> Option<Planned> {
        let Resident { fingerprint, object } = *resident;
        let position = self.shared.state().segments.position(object.place);
        let record = Record::read(self.shared.log(), object, position, &mut self.buffer)?;
        Some(Planned { fingerprint, record })
    }
}

/// Blocks of a segment that are written on at most, this long after the reclaim before.
fn moved_blocks(blocks: u64, since: Duration) -> u64 {
    let rate = u128::from(MOVED_RATE.bytes() / BLOCK as u64);
    let by_time = rate * since.as_millis() / 1000;
    let by_time = u64::try_from(by_time).unwrap_or(u64::MAX);
    (blocks / MOVED_PART).saturating_add(by_time).min(blocks / MOVED_PART_MAX)
}

/// Takes planned objects from the front as long as there is room.
fn reserve(state: &mut State, planned: &mut VecDeque<Planned>, moves: &mut Vec<Move>) {
    while let Some(plan) = planned.front() {
        match state.start_move(
            plan.fingerprint,
            plan.record.object.place,
            plan.record.layout.blocks,
        ) {
            Room::At(reservation) => {
                let planned = planned.pop_front().expect("it was looked at");
                moves.push(Move { planned, reservation });
            }
            // Not wanted any more.
            Room::Full => drop(planned.pop_front()),
            Room::Later => return,
        }
    }
}

/// Objects of a segment.
fn residents(shared: &Shared, segment: u32, sequence: u64) -> Vec<Resident> {
    let Shared { device, geometry, secret, .. } = shared;
    let fingerprints: Vec<Fingerprint> =
        match table::read(&**device, geometry, secret, segment, sequence) {
            Ok(Some(entries)) => entries.iter().map(|entry| entry.fingerprint).collect(),
            // The table is lost, so every object is looked at.
            Ok(None) | Err(_) => shared.state().index.in_segment(segment),
        };
    let mut residents = Vec::new();
    for some in fingerprints.chunks(LOCKED_MAX) {
        let state = shared.state();
        residents.extend(some.iter().filter_map(|fingerprint| {
            let object = state.index.get(*fingerprint)?;
            let is_here = object.place.segment == segment;
            is_here.then_some(Resident { fingerprint: *fingerprint, object })
        }));
    }
    residents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reclaims_in_quick_succession_write_on_a_sixteenth_and_slow_ones_a_half() {
        let blocks = 32_768;
        assert_eq!(moved_blocks(blocks, Duration::ZERO), 2_048);
        assert_eq!(moved_blocks(blocks, Duration::from_millis(50)), 2_048 + 1_638);
        assert_eq!(moved_blocks(blocks, Duration::from_secs(1)), 16_384);
        assert_eq!(moved_blocks(blocks, Duration::MAX), 16_384);
    }
}
