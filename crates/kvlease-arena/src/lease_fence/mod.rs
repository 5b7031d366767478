//! Lease fence: until when each region of the arena may be leased, kept through a `kill -9`.
//!
//! A restarted daemon does not know the leases of its predecessor, but clients go on reading under
//! them. So every grant first raises the deadlines of the regions that it covers in this file, and
//! a restarted daemon leaves regions alone until their deadlines have passed.
//!
//! The file lies on the arena's tmpfs and is mapped: a store into it survives the process the
//! instant it is made, without a system call. It does not survive a reboot, and neither do the
//! clients; a file of another boot is ignored.
//!
//! Layout, version 1, all numbers little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic, `KVLHORZN` |
//! | 8..12 | version, 1 |
//! | 12..16 | bytes per deadline, 8 |
//! | 16..24 | region size in bytes, [`REGION_SIZE`] |
//! | 24..32 | length of the arena in bytes |
//! | 32..40 | boot that the deadlines count from (XXH3-64 of the kernel's boot id) |
//! | 40..48 | XXH3-64 of bytes 0..40 |
//! | 48..4096 | zero |
//! | 4096.. | one deadline per region: nanoseconds of `CLOCK_BOOTTIME`, 0 for never leased |

mod header;
mod layout;
mod longest;

use std::{
    fs::File,
    io,
    ops::Range,
    os::{fd::AsFd, unix::fs::FileExt},
    time::Duration,
};

use kvlease_sys::{Access, Mapping, Word, boot_id};
use kvlease_types::{ByteSize, Extent, Offset, Timestamp};
use rustix::{
    fs::{FallocateFlags, OFlags, fallocate},
    io::Errno,
};

use self::{
    header::{Header, Verdict},
    layout::{file_len, place, regions},
};
use crate::{
    ArenaError,
    directory::{Directory, LEASE_FENCE, LEASE_FENCE_NEW},
    file_header::HEADER_LEN,
};

pub use layout::REGION_SIZE;

/// Result of the search for an earlier daemon's lease fence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseFenceOrigin {
    /// The arena is new: nothing is leased.
    Created,
    /// The deadlines of an earlier daemon hold.
    Kept,
    /// The file is from another boot: nothing is leased.
    OtherBoot,
    /// The file cannot be read. The whole arena counts as leased for as long as an earlier lease
    /// can last.
    Unreadable {
        /// Fault of the file.
        cause: &'static str,
        /// End of that time.
        until: Timestamp,
    },
}

/// Deadlines of all regions.
#[derive(Debug)]
pub struct LeaseFence {
    mapping: Mapping,
    capacity: ByteSize,
    origin: LeaseFenceOrigin,
    beyond: Beyond,
}

/// Deadlines of an earlier daemon that are later than its settings explain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beyond {
    /// There are none.
    None,
    /// No lease can last that long: the deadlines are of another clock. The regions count as leased
    /// until this moment instead, when the longest lease has ended.
    Disbelieved(Timestamp),
    /// This daemon would not grant leases of that length. The earlier one did, or was of a release
    /// that did not say; the last of them ends at this moment.
    Believed(Timestamp),
}

impl LeaseFence {
    /// Opens the lease fence of a reopened arena, or makes one.
    pub(crate) fn open(
        directory: &Directory,
        capacity: ByteSize,
        reopened: bool,
        lease_ttl_max: Duration,
        now: Timestamp,
    ) -> Result<Self, ArenaError> {
        let path = directory.private_path().join(LEASE_FENCE);
        let boot = boot_id().map_err(ArenaError::io("read the kernel's boot id", &path))?;
        let wanted = Header { capacity, boot };
        let failed = "open the lease fence";
        let mut longest = lease_ttl_max;
        let origin = if reopened {
            match find(directory, &wanted).map_err(ArenaError::io(failed, &path))? {
                Found::Whole(file) => {
                    let kept = Self::map(&file, capacity, LeaseFenceOrigin::Kept);
                    let mut kept = kept.map_err(ArenaError::io(failed, path))?;
                    kept.beyond = kept.bound(directory, boot, lease_ttl_max, now);
                    return Ok(kept);
                }
                Found::OtherBoot => LeaseFenceOrigin::OtherBoot,
                Found::Unreadable(cause) => {
                    // The earlier daemon may have granted longer leases than this one would.
                    longest = longest.max(longest::read(directory, boot).unwrap_or_default());
                    let until = now.after(longest);
                    LeaseFenceOrigin::Unreadable { cause, until }
                }
            }
        } else {
            LeaseFenceOrigin::Created
        };
        longest::write(directory, boot, longest);
        directory.discard(LEASE_FENCE_NEW)?;
        build(directory, &wanted, origin).map_err(ArenaError::io(failed, path))
    }

    fn map(file: &File, capacity: ByteSize, origin: LeaseFenceOrigin) -> io::Result<Self> {
        let len = usize::try_from(file_len(capacity)).map_err(io::Error::other)?;
        let mapping = Mapping::new(file.as_fd(), len, Access::ReadWrite)?;
        Ok(Self { mapping, capacity, origin, beyond: Beyond::None })
    }

    /// Looks for deadlines beyond the longest lease, cuts those that no earlier daemon can have
    /// meant, and leaves the longest lease to the next daemon.
    fn bound(
        &self,
        directory: &Directory,
        boot: u64,
        lease_ttl_max: Duration,
        now: Timestamp,
    ) -> Beyond {
        let stored = longest::read(directory, boot);
        let end = |longest: Duration| now.after(longest);
        let last = || (0..regions(self.capacity)).map(|region| self.until(region)).max();
        let latest = last().unwrap_or_default();
        if latest <= end(lease_ttl_max) {
            longest::write(directory, boot, lease_ttl_max);
            return Beyond::None;
        }
        let Some(stored) = stored else { return Beyond::Believed(latest) };
        let longest = stored.max(lease_ttl_max);
        longest::write(directory, boot, longest);
        if latest <= end(longest) {
            return Beyond::Believed(latest);
        }
        for region in 0..regions(self.capacity) {
            if self.until(region) > end(longest) {
                self.deadline(region).store(end(longest).nanos());
            }
        }
        Beyond::Disbelieved(end(longest))
    }

    /// Deadlines of an earlier daemon that are later than this daemon's settings explain.
    pub fn beyond(&self) -> Beyond {
        self.beyond
    }

    /// Result of the search for the file of an earlier daemon.
    pub fn origin(&self) -> LeaseFenceOrigin {
        self.origin
    }

    /// Raises the deadlines of the extents' regions to `until`. Has to precede the reply that
    /// grants the lease.
    ///
    /// # Panics
    ///
    /// If an extent is outside the arena.
    pub fn raise(&self, extents: &[Extent], until: Timestamp) {
        for extent in extents {
            assert!(self.has(extent), "leased extents are inside the arena");
            for region in regions_of(extent) {
                self.deadline(region).raise(until.nanos());
            }
        }
    }

    /// Moves all deadlines back by the same time, so that none is later than `now`: no region is read
    /// by a client any more. Their order stays, which is that of the last use.
    pub fn lower(&self, now: Timestamp) {
        let latest = (0..regions(self.capacity)).map(|region| self.until(region)).max();
        let shift = latest.unwrap_or_default().since(now);
        if shift.is_zero() {
            return;
        }
        let shift = u64::try_from(shift.as_nanos()).unwrap_or(u64::MAX);
        for region in 0..regions(self.capacity) {
            // Zero is said of regions that were never leased.
            let until = self.deadline(region).load();
            self.deadline(region).store(until.saturating_sub(shift).max(until.min(1)));
        }
    }

    /// Latest possible end of the leases that cover all of the extents: the earliest deadline of
    /// their regions. Extents outside the arena were never leased.
    pub fn leased_until(&self, extents: &[Extent]) -> Timestamp {
        if !extents.iter().all(|extent| self.has(extent)) {
            return Timestamp::default();
        }
        let deadlines = extents.iter().flat_map(regions_of).map(|region| self.until(region));
        deadlines.min().unwrap_or_default()
    }

    fn has(&self, extent: &Extent) -> bool {
        extent.end().is_some_and(|end| end.bytes() <= self.capacity.bytes())
    }

    /// Parts of the arena that may still be leased at `now`, each with its deadline. Neighbours with
    /// the same deadline are one extent.
    pub fn pending(&self, now: Timestamp) -> Vec<(Extent, Timestamp)> {
        let mut pending: Vec<(Extent, Timestamp)> = Vec::new();
        for region in 0..regions(self.capacity) {
            let until = self.until(region);
            if until <= now {
                continue;
            }
            let start = region * REGION_SIZE.bytes();
            // The last region may end early.
            let len = REGION_SIZE.bytes().min(self.capacity.bytes() - start);
            match pending.last_mut() {
                Some((last, deadline))
                    if *deadline == until && last.end() == Some(Offset::new(start)) =>
                {
                    last.len = ByteSize::new(last.len.bytes() + len);
                }
                _ => pending.push((Extent::new(Offset::new(start), ByteSize::new(len)), until)),
            }
        }
        pending
    }

    fn until(&self, region: u64) -> Timestamp {
        Timestamp::from_nanos(self.deadline(region).load())
    }

    /// Deadline of a region. The file has one for every region of the arena.
    fn deadline(&self, region: u64) -> Word<'_> {
        self.mapping.word(Offset::new(place(region)))
    }
}

/// Lease fence of an earlier daemon.
enum Found {
    Whole(File),
    OtherBoot,
    /// With the file's fault.
    Unreadable(&'static str),
}

/// Looks for the lease fence of an earlier daemon.
fn find(directory: &Directory, wanted: &Header) -> io::Result<Found> {
    let file = match directory.open(LEASE_FENCE, OFlags::RDWR) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Found::Unreadable("is missing")),
        Err(Errno::LOOP | Errno::ISDIR) => return Ok(Found::Unreadable("is no regular file")),
        Err(errno) => return Err(errno.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(Found::Unreadable("is no regular file"));
    }
    if file.metadata()?.len() != file_len(wanted.capacity) {
        return Ok(Found::Unreadable("does not have the length that belongs to the arena"));
    }
    let mut bytes = vec![0; HEADER_LEN];
    let verdict = match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => wanted.judge(&bytes),
        Err(_) => Verdict::Unreadable,
    };
    Ok(match verdict {
        Verdict::Holds => Found::Whole(file),
        Verdict::OtherBoot => Found::OtherBoot,
        Verdict::Unreadable => {
            Found::Unreadable("has a header that is corrupt or of another version")
        }
    })
}

/// Builds a lease fence, then names it. After an unreadable one the whole arena counts as leased.
fn build(
    directory: &Directory,
    header: &Header,
    origin: LeaseFenceOrigin,
) -> io::Result<LeaseFence> {
    let file = directory.create(LEASE_FENCE_NEW)?;
    fallocate(&file, FallocateFlags::empty(), 0, file_len(header.capacity))?;
    file.write_all_at(&header.encode(), 0)?;
    let fence = LeaseFence::map(&file, header.capacity, origin)?;
    if let LeaseFenceOrigin::Unreadable { until, .. } = origin {
        fence.raise(&[Extent::new(Offset::new(0), header.capacity)], until);
    }
    directory.rename(LEASE_FENCE_NEW, LEASE_FENCE)?;
    Ok(fence)
}

/// Regions that an extent of the arena touches.
fn regions_of(extent: &Extent) -> Range<u64> {
    let (start, size) = (extent.offset.bytes(), REGION_SIZE.bytes());
    start / size..(start + extent.len.bytes()).div_ceil(size)
}
