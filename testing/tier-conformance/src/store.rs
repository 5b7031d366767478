//! Store under test, as its implementation gives it to the suite.

use std::{pin::Pin, sync::Arc, time::Duration};

use kvlease_tier::{Name, Tier};

/// The least room of a store for a case, in bytes.
pub const ROOM_MIN: u64 = 128 << 20;

/// Future of a hook.
pub type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The store has no such hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the store cannot be {0}")]
pub struct NotPossible(pub &'static str);

/// Change of what is stored under a name, behind the tier's back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    /// One bit of the object's bytes is another.
    FlipBit,
    /// The second half of the stored form is missing.
    Truncate,
    /// The whole stored form of this other object, which has the same length, is under the name.
    ReplaceBy(Name),
    /// Bytes that no tier wrote are under the name.
    Garbage,
}

/// Store that a tier is tested against.
///
/// Each case gets a store of its own, which is empty and has room for [`ROOM_MIN`] bytes of
/// objects. Dropping it removes what is in it. Hooks that are not given answer [`NotPossible`].
pub trait Store: Send + Sync {
    /// Opens a tier over the store. The tier before it was closed, or dropped.
    fn open(&self) -> Step<'_, Arc<dyn Tier>>;

    /// Whether the store has its objects after its tier was closed or dropped.
    fn durable(&self) -> Result<(), NotPossible> {
        Ok(())
    }

    /// Texts that the tier must not show: the store's credentials.
    fn secrets(&self) -> Result<Vec<String>, NotPossible> {
        Err(NotPossible("asked for its credentials"))
    }

    /// Changes what is stored under a name. The tier is open, or closed.
    fn damage<'a>(&'a self, _: &'a Name, _: Damage) -> Step<'a, Result<(), NotPossible>> {
        Box::pin(async { Err(NotPossible("changed behind the tier's back")) })
    }

    /// Stops the store: it cannot be reached, or does not answer.
    fn stop(&self) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async { Err(NotPossible("stopped")) })
    }

    /// Ends a stop.
    fn start(&self) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async { Err(NotPossible("started")) })
    }

    /// Delays every answer of the store by this much; zero ends that.
    fn slow(&self, _: Duration) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async { Err(NotPossible("slowed down")) })
    }

    /// Leaves the store no room.
    fn fill(&self) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async { Err(NotPossible("filled")) })
    }

    /// Gives the room back that [`fill`](Self::fill) took.
    fn relieve(&self) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async { Err(NotPossible("relieved")) })
    }
}
