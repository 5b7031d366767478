//! Observers of transfers between the arena and its tiers.

use std::{fmt, time::Duration};

use kvlease_tier::{Loaded, Stored, TierError};
use kvlease_types::ByteSize;

/// Direction of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferWay {
    /// From a tier into the arena.
    Load,
    /// From the arena to a tier.
    Store,
}

/// Transfer that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    /// Kind of the tier.
    pub tier: &'static str,
    /// The object's bucket.
    pub bucket: &'a str,
    /// The object's length.
    pub len: ByteSize,
    /// Time from its start to its end.
    pub took: Duration,
    /// Its end.
    pub outcome: TransferOutcome,
}

/// End of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferOutcome {
    /// All bytes were moved.
    Done,
    /// There was nothing to move: the tier had forgotten the object, or had it already.
    Nothing,
    /// The object left the arena before it was copied.
    LeftTooEarly,
    /// The tier failed, or did not answer in time.
    Failed,
}

impl TransferOutcome {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Nothing => "nothing",
            Self::LeftTooEarly => "left_too_early",
            Self::Failed => "failed",
        }
    }

    pub(super) const fn of_load(outcome: &Result<Loaded, TierError>) -> Self {
        match outcome {
            Ok(Loaded::Complete) => Self::Done,
            Ok(Loaded::Absent) => Self::Nothing,
            Err(_) => Self::Failed,
        }
    }

    pub(super) const fn of_store(outcome: &Result<Stored, TierError>) -> Self {
        match outcome {
            Ok(Stored::Written(_)) => Self::Done,
            Ok(Stored::Present) => Self::Nothing,
            Err(TierError::SourceChanged(_)) => Self::LeftTooEarly,
            Err(_) => Self::Failed,
        }
    }
}

/// Call at the end of a transfer.
pub type TransferEnd = Box<dyn FnOnce(&Transfer<'_>) + Send>;

/// Observer of transfers. It is called often, and has to answer at once.
pub trait TransferObserver: fmt::Debug + Send + Sync {
    /// A transfer begins; a load on the thread of the request that needs it. Returns what is to be called at
    /// its end; `None` if that is of no interest.
    fn begins(&self, way: TransferWay) -> Option<TransferEnd>;
}
