//! Outcomes of puts and removals.

use kvlease_api::lane::{DoneStatus, ReserveStatus};

/// Outcome of a put for one object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LanePut {
    /// It is stored and visible.
    Stored,
    /// Its key has an object already, or one that is being written.
    Exists,
    /// The daemon has no room for it, it is too large, or this client may not write.
    Refused(ReserveStatus),
    /// Its reservation expired before it was filled and committed: it is not stored.
    Expired,
}

/// Outcome of a removal for one object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LaneRemoval {
    /// It was removed.
    Removed,
    /// There was none.
    Absent,
    /// It is being written, or a tier may have it still: it is to be removed again.
    Again,
}

impl LaneRemoval {
    /// The outcome of a REMOVE, by its status.
    pub(super) const fn of_remove(status: DoneStatus) -> Self {
        match status {
            DoneStatus::Done => Self::Removed,
            DoneStatus::BeingWritten => Self::Again,
            _ => Self::Absent,
        }
    }
}

impl LanePut {
    /// The outcome of a STORE, by its status.
    pub(super) const fn of_store(status: DoneStatus) -> Self {
        match status {
            DoneStatus::Done => Self::Stored,
            DoneStatus::Exists | DoneStatus::BeingWritten => Self::Exists,
            DoneStatus::MemoryShort => Self::Refused(ReserveStatus::MemoryShort),
            DoneStatus::Expired | DoneStatus::Unknown => Self::Expired,
        }
    }

    /// Whether the spare reservation of a STORE is left open.
    pub(super) const fn keeps_spare(self) -> bool {
        matches!(self, Self::Exists | Self::Refused(_))
    }
}
