//! View of the daemon's published index.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use kvlease_sys::{Access, FingerprintKey, IndexTable, KeyFingerprints, Mapping, PAGE, Word};
use kvlease_types::{ByteSize, Checksum, Epoch, Extent, Offset};
use rustix::fs::fstat;

use crate::descriptor::{invalid, sealed_len};

/// Object that the published index names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublishedObject {
    /// Its slot in the table of generations.
    pub slot: u32,
    /// Its generation there while its bytes are in place.
    pub generation: u64,
    /// Where its bytes are.
    pub extent: Extent,
    /// Checksum of its bytes.
    pub checksum: Checksum,
    /// Whether it has to be leased to be read.
    pub leased_only: bool,
}

/// A reader's view of the [`IndexTable`] of one incarnation, for the objects of one bucket.
#[derive(Debug)]
pub struct IndexView {
    table: IndexTable,
    fingerprints: KeyFingerprints,
    incarnation: Mapping,
    epoch: Epoch,
}

/// Where the word of the incarnation is in its file, behind the header.
const INCARNATION_AT: u64 = PAGE;

impl IndexView {
    /// Maps the index of `slots` slots, and the word of the incarnation, that the daemon of this
    /// epoch passed.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when a file is not what it should be, and the kernel's error
    /// when it is not a file of shared memory.
    pub fn from_descriptors(
        (index, slots, key): (OwnedFd, u64, FingerprintKey),
        (incarnation, epoch): (OwnedFd, Epoch),
        bucket: &str,
    ) -> io::Result<Self> {
        let len = sealed_len(&index, "the published index")?;
        if slots == 0 || IndexTable::file_len(slots) != Some(len) {
            return Err(invalid("the published index has another length than its slots need"));
        }
        let table = IndexTable::map(index.as_fd(), slots, Access::Read)?;
        if !table.has_header() {
            return Err(invalid("the published index is of another version"));
        }
        let len = INCARNATION_AT + Word::LEN;
        if u64::try_from(fstat(&incarnation)?.st_size).unwrap_or(0) < len {
            return Err(invalid("the file of the incarnation is too short"));
        }
        // It lies on a tmpfs, where it could be truncated.
        let incarnation = Mapping::guarded(incarnation.as_fd(), len as usize, Access::Read)?;
        Ok(Self { table, fingerprints: key.of_bucket(bucket), incarnation, epoch })
    }

    /// Whether the arena still belongs to the daemon of this index.
    ///
    /// Reads of an object's bytes that precede this call are complete before it, and later ones have
    /// not begun: the same call is right before and after a copy.
    pub fn is_current(&self) -> bool {
        let found = self.incarnation.word(Offset::new(INCARNATION_AT)).generation();
        // Zero is between two daemons.
        found != 0 && found == self.epoch.number() && !self.incarnation.is_lost()
    }

    /// The object of this key, if the index names one. `None` says nothing: the daemon has to be
    /// asked.
    pub fn find(&self, key: &str) -> Option<PublishedObject> {
        let (slot, cell) = self.table.find(self.fingerprints.of_key(key))?;
        Some(PublishedObject {
            slot,
            generation: cell.generation,
            extent: cell.extent,
            checksum: cell.checksum,
            leased_only: cell.leased_only,
        })
    }
}

impl PublishedObject {
    /// Length of the object.
    pub fn len(&self) -> ByteSize {
        self.extent.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == ByteSize::ZERO
    }
}
