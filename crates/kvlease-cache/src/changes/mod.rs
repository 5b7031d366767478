//! Change log: every change of what the catalog publishes, numbered, for readers outside of it.
//!
//! The catalog appends a [`Change`] when an object is sealed or restored, when the bytes of a restored
//! one were verified, when it leaves, and when
//! the last reader of one that had left is gone. Its user takes the changes in batches
//! ([`Catalog::take_changes`](crate::Catalog::take_changes)), gives the catalog's mutex back, applies
//! them in their order to the required readers (the manifest and the table of generations), and
//! acknowledges how far it came ([`Catalog::acknowledge`](crate::Catalog::acknowledge)).
//!
//! Invariants:
//!
//! * **No loss.** Sequence numbers have no gap, and each change is taken exactly once. The log is
//!   bounded by backpressure: while it is full, calls that would append without need
//!   (`reserve`, `extend`, `victims`, `expire`) do nothing and ask for a drain instead. Calls that
//!   must not be refused (`seal`, `release`, `remove`, `acquire`) append a handful beyond the bound.
//! * **Reuse after acknowledgement.** The slot and the extents of an object that left get another
//!   tenant only after the change with [`freed`](Change::freed) of that object was acknowledged. So
//!   its manifest entry is deleted and its generation cleared before anything else is written there,
//!   however far the readers lag behind, and whenever the process ends.
//! * **Order.** Changes are in the order in which they took effect. For one slot that is: `Sealed`, or
//!   `Restored` and at some time `Verified`; then one departure (`Removed`, `Expired`, `Evicted`, `Corrupt`); then, if the object was still
//!   read at that time, `Freed`. The next object in the slot begins behind that.
//! * **Visible before applied.** A sealed object can be acquired before its change was applied. A
//!   user that answers others drains first: then whatever an answer says is in the manifest, and
//!   survives the process.
//!
//! An object that is aborted was never published, and makes no change.
//!
//! Readers that may fall behind read a [`ChangeFeed`], which reports a gap instead of waiting.

mod feed;

use kvlease_types::{BucketName, ByteSize, Checksum, Key, SealedObject, Timestamp};

use crate::extents::Extents;

pub use feed::{ChangeFeed, Gap};

/// Fewest changes that the log holds before it is full.
const CHANGES_MIN: usize = 16;

/// Most changes that the log holds before it is full, and so the most that one drain takes
/// without the few that calls append beyond it.
pub const CHANGES_MAX: usize = 1024;

/// Part of the catalog's memory that the log may take.
const MEMORY_PART: usize = 64;

/// One change of what the catalog publishes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Number of the change: one more than that of the change before it.
    pub sequence: u64,
    /// Publication or departure, with its reason.
    pub kind: ChangeKind,
    /// Slot of the object.
    pub slot: u32,
    /// Whether the object has left and has no reader: its slot and extents are free once this
    /// change is acknowledged.
    pub freed: bool,
    /// Bucket of the object.
    pub bucket: BucketName,
    /// Name of the object in the bucket.
    pub key: Key,
    /// Where the object is, in the order of its bytes, with exact lengths.
    pub extents: Extents,
    /// Size of the object.
    pub len: ByteSize,
    /// Checksum of its bytes.
    pub checksum: Checksum,
    /// Generation of the object, which tells it from all others of the incarnation.
    pub generation: u64,
    /// When it was sealed.
    pub created: Timestamp,
}

/// Kind of a change, with the reason of a departure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChangeKind {
    /// The object was sealed: it is published.
    Sealed,
    /// The object was taken over from an earlier incarnation: it is published.
    Restored,
    /// The bytes of an object that was taken over were found to match its checksum.
    Verified,
    /// The object was removed by request.
    Removed,
    /// The object was removed since its time to live was over.
    Expired,
    /// The object was evicted to make room.
    Evicted {
        /// Whether a copy of it is elsewhere.
        copied: bool,
    },
    /// The object was removed since its bytes do not match its checksum.
    Corrupt,
    /// The last reader of an object that had left is gone.
    Freed,
}

impl ChangeKind {
    /// Whether the object is published by this change.
    pub const fn publishes(self) -> bool {
        matches!(self, Self::Sealed | Self::Restored)
    }

    /// Whether the object is unpublished by this change.
    pub const fn unpublishes(self) -> bool {
        matches!(self, Self::Removed | Self::Expired | Self::Evicted { .. } | Self::Corrupt)
    }
}

impl Change {
    /// The object, as a manifest stores it.
    pub fn object(&self) -> SealedObject<'_> {
        SealedObject {
            bucket: self.bucket.as_str(),
            key: self.key.as_str(),
            extents: &self.extents,
            len: self.len,
            checksum: self.checksum,
            generation: self.generation,
            created: self.created,
        }
    }
}

/// The changes that were not taken yet, and how far those that were are acknowledged.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    entries: Vec<Change>,
    capacity: usize,
    /// Of the change appended last.
    appended: u64,
    acknowledged: u64,
}

impl ChangeLog {
    /// Log of a catalog that may use `memory_max` bytes. Its memory is taken at once.
    pub(crate) fn new(memory_max: usize) -> Self {
        let share = memory_max / MEMORY_PART / size_of::<Change>();
        let capacity = share.clamp(CHANGES_MIN, CHANGES_MAX);
        Self { entries: Vec::with_capacity(capacity), capacity, appended: 0, acknowledged: 0 }
    }

    /// Memory of the log and of the batch that is being applied, for the accounting.
    pub(crate) const fn memory(&self) -> usize {
        2 * self.capacity * size_of::<Change>()
    }

    /// Sequence number of the next change.
    pub(crate) const fn next(&self) -> u64 {
        self.appended + 1
    }

    /// Appends a change, which has the [next](Self::next) number.
    pub(crate) fn append(&mut self, change: Change) {
        debug_assert_eq!(change.sequence, self.next(), "sequence numbers have no gap");
        self.appended = change.sequence;
        self.entries.push(change);
    }

    /// Changes that fit in before the log is full.
    pub(crate) const fn room(&self) -> usize {
        self.capacity.saturating_sub(self.entries.len())
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.room() == 0
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sequence number of the change appended last, 0 if there was none.
    pub(crate) const fn appended(&self) -> u64 {
        self.appended
    }

    /// Moves all changes into an empty batch. Their memory changes hands, so that nothing is copied.
    pub(crate) fn take(&mut self, batch: &mut Vec<Change>) {
        assert!(batch.is_empty(), "a batch is applied before the next one is taken");
        std::mem::swap(&mut self.entries, batch);
        // A batch that a call or two went beyond the bound must not keep that memory for good.
        if !(self.capacity..=2 * self.capacity).contains(&self.entries.capacity()) {
            self.entries = Vec::with_capacity(self.capacity);
        }
    }

    /// Reports all changes in place of a drain.
    pub(crate) fn report(&mut self, report: &mut impl FnMut(&Change)) {
        self.entries.drain(..).for_each(|change| report(&change));
    }

    /// Notes that the required readers applied all changes up to this one.
    pub(crate) fn acknowledge(&mut self, sequence: u64) {
        let taken = self.appended - self.entries.len() as u64;
        assert!(sequence <= taken, "only changes that were taken can be acknowledged");
        self.acknowledged = self.acknowledged.max(sequence);
    }

    pub(crate) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Asserts that the positions agree.
    pub(crate) fn check(&self) {
        let taken = self.appended - self.entries.len() as u64;
        assert!(self.acknowledged <= taken, "acknowledged changes were taken");
        let numbers = self.entries.iter().map(|change| change.sequence);
        assert!(numbers.eq(taken + 1..=self.appended), "sequence numbers have no gap");
    }
}
