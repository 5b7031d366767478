//! The daemon's published index, which clients of the fast lane read for themselves.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use kvlease_sys::{Access, Fingerprint, FingerprintKey, IndexCell, IndexTable};
use kvlease_types::{Extent, SealedObject};

use crate::sealed;

/// Name of the mapping in `/proc/PID/maps`.
const NAME: &str = "kvlease-index";

/// The daemon's handle to the [`IndexTable`]: its one writer.
///
/// An object is published once its generation is set, and withdrawn before that is cleared. So a
/// reader that finds the generation in the table of generations, before and after its copy, has
/// copied the object that its cell names.
#[derive(Debug)]
pub struct PublishedIndex {
    table: IndexTable,
    key: FingerprintKey,
    /// Read-only, to be passed to readers.
    descriptor: OwnedFd,
}

impl PublishedIndex {
    /// An empty index for this many slots, at least one, with a secret of this incarnation.
    ///
    /// # Errors
    ///
    /// The kernel's error when it gives no memfd, or when `/proc` is not mounted.
    pub fn create(slots: u64, key: FingerprintKey) -> io::Result<Self> {
        let slots = slots.max(1);
        let len = IndexTable::file_len(slots).ok_or(io::ErrorKind::InvalidInput)?;
        let map = |file: BorrowedFd<'_>| IndexTable::map(file, slots, Access::ReadWrite);
        let (table, descriptor) = sealed::create(NAME, len, map)?;
        table.write_header();
        Ok(Self { table, key, descriptor })
    }

    /// Number of slots.
    pub fn slots(&self) -> u64 {
        self.table.slots()
    }

    /// Secret of the fingerprints.
    pub fn key(&self) -> FingerprintKey {
        self.key
    }

    /// Read-only descriptor, to be passed to readers.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Publishes the object of a slot. Readers may read the bytes of a `verified` one without a lease.
    /// Returns false if its chain is full: readers ask the daemon for it.
    ///
    /// # Panics
    ///
    /// If there is no such slot, or it is published already.
    pub fn publish(&self, slot: u32, object: &SealedObject<'_>, verified: bool) -> bool {
        let fingerprint = self.key.of_bucket(object.bucket).of_key(object.key);
        if self.chain(fingerprint).count() >= IndexTable::CHAIN_MAX {
            return false;
        }
        assert_eq!(self.cell(slot).generation, 0, "a slot is published once");
        // An object of no bytes has no extent.
        let extent = object.extents.first().copied().unwrap_or_default();
        let cell = IndexCell {
            fingerprint,
            generation: object.generation,
            extent: Extent { len: object.len, ..extent },
            checksum: object.checksum,
            next: self.table.first(fingerprint),
            leased_only: !verified || object.extents.len() > 1,
        };
        self.table.write(slot, &cell);
        self.table.set_first(fingerprint, Some(slot));
        true
    }

    /// Lets readers read the object of a slot, whose bytes were verified, without a lease. Nothing
    /// happens if the slot has another object by now, or one of several extents.
    pub fn note_verified(&self, slot: u32, object: &SealedObject<'_>) {
        let cell = self.cell(slot);
        if cell.generation == object.generation && object.extents.len() <= 1 {
            self.table.write(slot, &IndexCell { leased_only: false, ..cell });
        }
    }

    /// Withdraws the object of a slot. Has to precede the clearing of its generation. Nothing happens
    /// if it is not published.
    pub fn withdraw(&self, slot: u32) {
        let cell = self.cell(slot);
        if cell.generation == 0 {
            return;
        }
        let before = self.chain(cell.fingerprint).take_while(|(at, _)| *at != slot).last();
        match before {
            Some((before, link)) => {
                self.table.write(before, &IndexCell { next: cell.next, ..link });
            }
            None => self.table.set_first(cell.fingerprint, cell.next),
        }
        self.table.write(slot, &IndexCell::default());
    }

    /// The cells of the chain that an object of this fingerprint is in, with their slots.
    fn chain(&self, fingerprint: Fingerprint) -> impl Iterator<Item = (u32, IndexCell)> {
        let at = |slot: u32| (slot, self.cell(slot));
        let first = self.table.first(fingerprint).map(at);
        std::iter::successors(first, move |(_, cell)| cell.next.map(at))
    }

    /// Cell of a slot: only the daemon writes it, so it is whole.
    fn cell(&self, slot: u32) -> IndexCell {
        self.table.read(slot).expect("the daemon alone writes to its cells, one for each slot")
    }
}
