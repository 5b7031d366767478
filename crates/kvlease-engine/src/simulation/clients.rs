//! Operations that clients are in the middle of.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc};

use kvlease_sys::Digest;
use kvlease_types::{Checksum, Extent, LeaseId, Offset, Timestamp};

use super::peeks::Views;
use crate::{Put, Reservation};

/// An object on its way in.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) put: Put,
    pub(super) key: String,
    pub(super) version: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
}

/// A client that writes an object into the arena by itself.
#[derive(Debug)]
pub(super) struct Fill {
    /// Gone with the daemon, of which the client need not know.
    pub(super) reservation: Option<Reservation>,
    pub(super) key: String,
    pub(super) version: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) written: usize,
    pub(super) extents: Vec<Extent>,
    /// Until when it may write: the deadline, and the grace that it may be late.
    pub(super) until: Timestamp,
    /// Whether the key is told when the object is written.
    pub(super) is_spare: bool,
}

impl Fill {
    /// Writes the next bytes, as through a mapping of its own.
    pub(super) fn write(&mut self, segment: &File, len: usize) {
        let end = (self.written + len).min(self.bytes.len());
        let mut start = 0;
        for extent in &self.extents {
            let stop = start + extent.len.bytes() as usize;
            let (from, to) = (self.written.max(start), end.min(stop));
            if from < to {
                let at = extent.offset.bytes() + (from - start) as u64;
                segment.write_all_at(&self.bytes[from..to], at).unwrap();
            }
            start = stop;
        }
        self.written = end;
    }

    pub(super) fn checksum(&self) -> Checksum {
        Digest::of(&self.bytes)
    }
}

/// A client that reads under a lease.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) lease: LeaseId,
    pub(super) version: u64,
    pub(super) checksum: Checksum,
    /// Time until which the bytes that it reads must not change.
    pub(super) until: Timestamp,
    pub(super) copy: Copy,
}

/// A client that reads what it found in the published index.
#[derive(Debug)]
pub(super) struct Peeker {
    pub(super) views: Arc<Views>,
    pub(super) slot: u32,
    pub(super) generation: u64,
    pub(super) version: u64,
    pub(super) checksum: Checksum,
    pub(super) copy: Copy,
}

/// A copy that is made piece by piece.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) extents: Vec<Extent>,
    /// Bytes that were copied so far.
    pub(super) bytes: Vec<u8>,
}

impl Copy {
    /// Copies up to `len` bytes more. Returns whether that was all.
    pub(super) fn copy(&mut self, segment: &File, len: usize) -> bool {
        let total: u64 = self.extents.iter().map(|extent| extent.len.bytes()).sum();
        let end = (self.bytes.len() + len).min(total as usize);
        let mut start = 0;
        for extent in &self.extents {
            let stop = start + extent.len.bytes() as usize;
            let (from, to) = (self.bytes.len().max(start), end.min(stop));
            if from < to {
                let mut piece = vec![0; to - from];
                let at = extent.offset.bytes() + (from - start) as u64;
                segment.read_exact_at(&mut piece, at).unwrap();
                self.bytes.extend(piece);
            }
            start = stop;
        }
        self.bytes.len() as u64 == total
    }
}

/// The place of one byte of what lies in these extents.
pub(super) fn place(extents: &[Extent], mut at: u64) -> Option<Offset> {
    for extent in extents {
        if at < extent.len.bytes() {
            return Some(Offset::new(extent.offset.bytes() + at));
        }
        at -= extent.len.bytes();
    }
    None
}
