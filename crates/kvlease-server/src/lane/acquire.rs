//! Leases for many keys at once, some of which may have to be waited for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_api::lane::{Acquire, LeaseGrant, LeaseStatus, LeasesWriter};
use kvlease_cache::Lease;
use kvlease_engine::Grants;
use kvlease_types::{Miss, Mode};

use super::{answers::grants_len, names::Names};
use crate::{connection_memory::Held, context::Context, metrics::LeaseTally, otlp::Span};

/// An acquire that waits for pending objects, in a task of its own, so that later frames of its
/// connection are not held up. Until the connection has taken the answer, its leases are the
/// task's, and end with it.
pub(super) struct Wait {
    pub(super) request: u64,
    /// Its span, if it is traced.
    pub(super) span: Option<Box<Span>>,
    pub(super) grants: Grants,
    pub(super) started: Instant,
    /// Step of answers about the bucket.
    pub(super) step: Option<Duration>,
    /// Memory of the grants and of the keys.
    pub(super) held: Held,
}

impl Wait {
    /// Waits as long as the client does, and leases what is sealed meanwhile. Returns the bucket as well.
    pub(super) async fn run(mut self, context: Arc<Context>, awaited: Awaited) -> (Self, Box<str>) {
        let Awaited { bucket, keys, mode, wait } = awaited;
        let until = self.started + wait.min(context.config.lease_wait_max);
        let until = tokio::time::Instant::from_std(until);
        let keys = keys.as_slices();
        context.engine.await_pending(&mut self.grants, &bucket, &keys, mode, until).await;
        (self, bucket)
    }
}

/// The part of a request that a wait for pending objects needs.
pub(super) struct Awaited {
    bucket: Box<str>,
    keys: Names,
    mode: Mode,
    wait: Duration,
}

impl Awaited {
    /// Keeps what is needed to wait for the pending objects of an acquire.
    pub(super) fn new(acquire: &Acquire<'_>, grants: &Grants) -> Self {
        let Acquire { bucket, ref keys, mode, wait, .. } = *acquire;
        let outcomes = grants.outcomes();
        // In prefix mode the keys behind the pending one follow, which has the last outcome.
        let is_needed = |place: usize| match outcomes.get(place) {
            Some(outcome) => matches!(outcome, Err(miss) if miss.is_awaited()),
            None => true,
        };
        let keys = keys.as_slice().iter().enumerate();
        let keys = keys.map(|(place, key)| if is_needed(place) { key } else { "" });
        Self { bucket: bucket.into(), keys: keys.collect(), mode, wait }
    }

    /// Memory of the wait, beside its task.
    pub(super) fn len(&self) -> usize {
        self.bucket.len() + self.keys.memory(size_of::<Result<Lease, Miss>>())
    }
}

/// Appends the answer to an acquire, whose leases are the client's then.
pub(super) fn answer(context: &Context, request: u64, grants: Grants, out: &mut Vec<u8>) {
    out.reserve_exact(grants_len(&grants));
    let mut frame = LeasesWriter::begin(std::mem::take(out), request);
    let mut tally = LeaseTally::default();
    for outcome in grants.outcomes() {
        match outcome {
            Ok(lease) => {
                frame.granted(&grant(lease), &lease.extents);
                tally.grant();
            }
            Err(miss) => {
                frame.refused(LeaseStatus::of_miss(*miss));
                tally.miss(*miss);
            }
        }
    }
    *out = frame.finish(grants.ttl());
    grants.deliver();
    context.metrics.lane.acquired(&tally);
}

/// A lease as its record describes it.
fn grant(lease: &Lease) -> LeaseGrant {
    LeaseGrant {
        slot: lease.slot,
        sequence: lease.id.sequence,
        generation: lease.generation,
        checksum: lease.checksum,
        len: lease.len,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_places() {
        for names in [&["a", "", "bcd", ""][..], &[], &["", "x"]] {
            let kept: Names = names.iter().copied().collect();
            assert_eq!(kept.as_slices(), names);
        }
    }
}
