//! One event.

use kvlease_cache::{Change, ChangeKind};
use kvlease_types::{BucketName, ByteSize, Key};

/// One change of what clients find in the arena.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Number of the change. Numbers rise within an incarnation, not always by one.
    pub sequence: u64,
    /// Publication or departure, with its reason.
    pub kind: EventKind,
    /// Bucket of the object.
    pub bucket: BucketName,
    /// Name of the object in the bucket.
    pub key: Key,
    /// Size of the object.
    pub len: ByteSize,
    /// Generation of the object, which tells it from all others of the incarnation.
    pub generation: u64,
}

/// Kind of an event, with the reason of a departure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EventKind {
    /// The object was stored.
    Sealed,
    /// The object was taken over from an earlier incarnation.
    Restored,
    /// The object was removed by request.
    Removed,
    /// The object was removed since its time to live was over.
    Expired,
    /// The object was evicted to make room.
    Evicted {
        /// Whether a tier below the arena has a copy.
        copied: bool,
    },
    /// The object was removed since its bytes do not match its checksum.
    Corrupt,
}

impl EventKind {
    /// Whether the object can be found from this event on; false if it cannot any more.
    pub const fn publishes(self) -> bool {
        matches!(self, Self::Sealed | Self::Restored)
    }

    const fn of(kind: ChangeKind) -> Option<Self> {
        match kind {
            ChangeKind::Sealed => Some(Self::Sealed),
            ChangeKind::Restored => Some(Self::Restored),
            ChangeKind::Removed => Some(Self::Removed),
            ChangeKind::Expired => Some(Self::Expired),
            ChangeKind::Evicted { copied } => Some(Self::Evicted { copied }),
            ChangeKind::Corrupt => Some(Self::Corrupt),
            ChangeKind::Verified | ChangeKind::Freed => None,
        }
    }
}

impl Event {
    /// The event of a change; `None` for changes that no client sees: of the daemon's own objects, and of
    /// what is known about objects.
    pub(super) fn of(change: &Change) -> Option<Self> {
        let kind = EventKind::of(change.kind)?;
        (!change.bucket.is_retained()).then(|| Self {
            sequence: change.sequence,
            kind,
            bucket: change.bucket.clone(),
            key: change.key.clone(),
            len: change.len,
            generation: change.generation,
        })
    }

    /// Memory of the event in bytes, with its name as if no other owner had it.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.key.as_str().len() + self.bucket.as_str().len()
    }
}
