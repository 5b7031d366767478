//! Look-ups and removals for which tiers are asked.

use std::time::{Duration, Instant};

use kvlease_api::lane::{DoneStatus, Kind, Lookup};
use kvlease_engine::Removed;
use kvlease_types::{Caller, Mode, RemoveRefused};

use super::names::Names;
use crate::{connection_memory::Held, context::Context, otlp::Span};

/// Answer of the tiers to a request.
pub(super) struct Asked {
    pub(super) request: u64,
    pub(super) kind: Kind,
    pub(super) bucket: Box<str>,
    /// Its span, if it is traced.
    pub(super) span: Option<Box<Span>>,
    pub(super) statuses: Vec<DoneStatus>,
    pub(super) started: Instant,
    /// Step of answers about the bucket.
    pub(super) step: Option<Duration>,
    /// Memory of the question and of the answer.
    pub(super) held: Held,
}

/// A request to the tiers.
pub(super) struct Question {
    kind: Kind,
    bucket: Box<str>,
    keys: Names,
    mode: Mode,
}

impl Question {
    /// A look-up, or a removal.
    pub(super) fn new(kind: Kind, lookup: &Lookup<'_>) -> Self {
        let Lookup { mode, bucket, ref keys } = *lookup;
        Self { kind, bucket: bucket.into(), keys: keys.as_slice().iter().copied().collect(), mode }
    }

    /// Memory of the question and of its answer.
    pub(super) fn len(&self) -> usize {
        self.bucket.len() + self.keys.memory(size_of::<Removed>() + size_of::<DoneStatus>())
    }

    /// Asks, and returns the status of each key, and the bucket.
    pub(super) async fn ask(
        self,
        context: &Context,
        caller: &Caller,
    ) -> (Vec<DoneStatus>, Box<str>) {
        let (keys, engine) = (self.keys.as_slices(), &context.engine);
        if self.kind == Kind::Remove {
            let removed = engine.remove_everywhere(caller, &self.bucket, &keys).await;
            let statuses = removed.into_iter().map(status_of_removal).collect();
            return (statuses, self.bucket);
        }
        let until = tokio::time::Instant::now() + context.config.lease_wait_max;
        let found = engine.exists_or_ask(caller, &self.bucket, &keys, self.mode, until).await;
        (found.into_iter().map(DoneStatus::of_exists).collect(), self.bucket)
    }
}

/// The status of a removal from the arena.
pub(super) fn status_of_remove(outcome: Result<(), RemoveRefused>) -> DoneStatus {
    outcome.map_or_else(DoneStatus::of_remove, |()| DoneStatus::Done)
}

/// The status of a removal from everywhere. What a tier may have still is to be removed again.
fn status_of_removal(Removed { outcome, left_in }: Removed) -> DoneStatus {
    if left_in.is_empty() { status_of_remove(outcome) } else { DoneStatus::BeingWritten }
}
