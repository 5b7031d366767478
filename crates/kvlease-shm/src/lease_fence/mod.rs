//! Until when each region of the arena may still be leased, kept through a `kill -9`.
//!
//! A restarted daemon does not know the leases of the one before it, but clients go on reading
//! under them. So every grant first raises the deadlines of the regions it covers in this file,
//! and a restarted daemon leaves regions alone until their deadlines have passed.
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

use std::{
    fs::File,
    io,
    ops::Range,
    os::{fd::AsFd, unix::fs::FileExt},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kvlease_types::{ByteSize, Extent, Offset, Timestamp};
use rustix::{
    fs::{FallocateFlags, Mode, OFlags, fallocate, openat},
    io::Errno,
};

use self::header::{Header, Verdict};
use crate::{
    ArenaError,
    clock::{boot_id, boot_time},
    directory::Directory,
    file_header::HEADER_LEN,
    mapping::{Access, Mapping},
    words::raise_deadline,
};

/// The granularity of the lease fence: a lease marks every region that it touches.
pub const REGION_SIZE: ByteSize = ByteSize::mib(2);

/// The lease fence, in the private directory.
pub(crate) const FILE: &str = "horizon";
/// A lease fence that is being built.
pub(crate) const UNDER_CONSTRUCTION: &str = "horizon.new";
const DEADLINE_LEN: u64 = size_of::<u64>() as u64;

/// What the lease fence was made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseFenceOrigin {
    /// The arena is new: nothing is leased.
    Created,
    /// The deadlines of an earlier daemon hold.
    Kept,
    /// The file was of another boot: nothing is leased.
    OtherBoot,
    /// The file was missing, damaged or of another version: the whole arena counts as leased for
    /// the longest time that a lease may have.
    Unreadable,
}

/// The deadlines of all regions.
#[derive(Debug)]
pub struct LeaseFence {
    mapping: Mapping,
    capacity: ByteSize,
    origin: LeaseFenceOrigin,
}

impl LeaseFence {
    /// Opens the lease fence of a reopened arena, or makes one.
    pub(crate) fn open(
        directory: &Directory,
        capacity: ByteSize,
        reopened: bool,
        lease_ttl_max: Duration,
    ) -> Result<Self, ArenaError> {
        let path = directory.private_path().join(FILE);
        let boot = boot_id().map_err(ArenaError::io("read the kernel's boot id", &path))?;
        let wanted = Header { capacity, boot };
        let failed = "open the lease fence";
        let (file, origin) = if reopened {
            find(directory, &wanted).map_err(ArenaError::io(failed, &path))?
        } else {
            (None, LeaseFenceOrigin::Created)
        };
        let pending = match origin {
            LeaseFenceOrigin::Unreadable => boot_time().after(lease_ttl_max),
            _ => Timestamp::default(),
        };
        match file {
            Some(file) => Self::map(&file, capacity, origin),
            None => {
                directory.discard(UNDER_CONSTRUCTION)?;
                build(directory, &wanted, pending, origin)
            }
        }
        .map_err(ArenaError::io(failed, path))
    }

    fn map(file: &File, capacity: ByteSize, origin: LeaseFenceOrigin) -> io::Result<Self> {
        let len = usize::try_from(file_len(capacity)).map_err(io::Error::other)?;
        let mapping = Mapping::new(file.as_fd(), len, Access::ReadWrite)?;
        Ok(Self { mapping, capacity, origin })
    }

    /// What the lease fence was made from.
    pub fn origin(&self) -> LeaseFenceOrigin {
        self.origin
    }

    /// Marks the extents as leased until `until`, before anybody hears of that lease. Deadlines
    /// only ever grow.
    ///
    /// # Panics
    ///
    /// If an extent is outside the arena.
    pub fn raise(&self, extents: &[Extent], until: Timestamp) {
        for extent in extents {
            assert!(self.has(extent), "leased extents are inside the arena");
            for region in regions_of(extent) {
                raise_deadline(self.deadline(region), until.nanos());
            }
        }
    }

    /// When the last lease ends that covers all of the extents, at the latest: the earliest of
    /// their regions' deadlines. What leaves the arena was never leased.
    pub fn leased_until(&self, extents: &[Extent]) -> Timestamp {
        if !extents.iter().all(|extent| self.has(extent)) {
            return Timestamp::default();
        }
        let deadline = |region| self.deadline(region).load(Ordering::Acquire);
        let deadlines = extents.iter().flat_map(regions_of).map(deadline);
        Timestamp::from_nanos(deadlines.min().unwrap_or_default())
    }

    fn has(&self, extent: &Extent) -> bool {
        extent.end().is_some_and(|end| end.bytes() <= self.capacity.bytes())
    }

    /// What may still be leased at `now`, and until when; neighbours with the same deadline are
    /// one extent.
    pub fn pending(&self, now: Timestamp) -> Vec<(Extent, Timestamp)> {
        let mut pending: Vec<(Extent, Timestamp)> = Vec::new();
        for region in 0..regions(self.capacity) {
            let until = Timestamp::from_nanos(self.deadline(region).load(Ordering::Acquire));
            if until <= now {
                continue;
            }
            let start = region * REGION_SIZE.bytes();
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

    fn deadline(&self, region: u64) -> &AtomicU64 {
        let offset = Offset::new(HEADER_LEN as u64 + region * DEADLINE_LEN);
        let place = self.mapping.locate(Extent::new(offset, ByteSize::new(DEADLINE_LEN)));
        let place = place.expect("every region of the arena has its deadline in the file");
        // SAFETY: the place is inside a writable mapping that lives as long as `self`, aligned
        // since the header and the deadlines are multiples of 8, and only accessed atomically.
        unsafe { AtomicU64::from_ptr(place.cast()) }
    }
}

/// Looks for a lease fence that holds. None means that one must be built, for the reason given.
fn find(directory: &Directory, wanted: &Header) -> io::Result<(Option<File>, LeaseFenceOrigin)> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: File = match openat(directory.private(), FILE, flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR) => {
            return Ok((None, LeaseFenceOrigin::Unreadable));
        }
        Err(errno) => return Err(errno.into()),
    };
    let mut bytes = vec![0; HEADER_LEN];
    let whole = file.metadata()?.len() == file_len(wanted.capacity)
        && file.read_exact_at(&mut bytes, 0).is_ok();
    let verdict = if whole { wanted.judge(&bytes) } else { Verdict::Unreadable };
    Ok(match verdict {
        Verdict::Holds => (Some(file), LeaseFenceOrigin::Kept),
        Verdict::OtherBoot => (None, LeaseFenceOrigin::OtherBoot),
        Verdict::Unreadable => (None, LeaseFenceOrigin::Unreadable),
    })
}

/// Builds a lease fence in which the whole arena is leased until `pending`, then names it.
fn build(
    directory: &Directory,
    header: &Header,
    pending: Timestamp,
    origin: LeaseFenceOrigin,
) -> io::Result<LeaseFence> {
    let file = directory.create(UNDER_CONSTRUCTION)?;
    fallocate(&file, FallocateFlags::empty(), 0, file_len(header.capacity))?;
    file.write_all_at(&header.encode(), 0)?;
    let fence = LeaseFence::map(&file, header.capacity, origin)?;
    fence.raise(&[Extent::new(Offset::new(0), header.capacity)], pending);
    directory.rename(UNDER_CONSTRUCTION, FILE)?;
    Ok(fence)
}

/// The regions that an extent of the arena touches.
fn regions_of(extent: &Extent) -> Range<u64> {
    let (start, size) = (extent.offset.bytes(), REGION_SIZE.bytes());
    start / size..(start + extent.len.bytes()).div_ceil(size)
}

fn regions(capacity: ByteSize) -> u64 {
    capacity.bytes().div_ceil(REGION_SIZE.bytes())
}

fn file_len(capacity: ByteSize) -> u64 {
    HEADER_LEN as u64 + regions(capacity) * DEADLINE_LEN
}
