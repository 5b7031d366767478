//! Leases for many keys at once, some of which may have to be waited for.

use std::{sync::Arc, time::Instant};

use kvlease_api::lane::{Acquire, Frame, Kind, LeaseGrant, LeaseStatus, LeasesWriter, Request};
use kvlease_cache::Lease;
use kvlease_engine::Grants;

use super::leases::Leases;
use crate::{context::Context, metrics::LeaseTally};

/// An acquire that waits for pending objects, in a task of its own, so that later frames of its
/// connection are not held up. Until the connection has taken the answer, its leases are the
/// task's, and end with it.
pub(super) struct Wait {
    request: u64,
    /// The payload of its frame.
    payload: Vec<u8>,
    grants: Grants,
    started: Instant,
}

/// An acquire that has waited.
pub(super) struct Waited {
    pub(super) request: u64,
    pub(super) grants: Grants,
    pub(super) started: Instant,
}

impl Wait {
    pub(super) fn new(frame: &Frame<'_>, grants: Grants, started: Instant) -> Self {
        Self { request: frame.request, payload: frame.payload.to_vec(), grants, started }
    }

    /// Waits as long as the client does, and leases what is sealed meanwhile.
    pub(super) async fn run(self, context: Arc<Context>) -> Waited {
        let Self { request, payload, mut grants, started } = self;
        let kind = Kind::Acquire.number();
        let frame = Frame { kind, flags: 0, request, payload: &payload };
        let Ok(Request::Acquire(acquire)) = Request::decode(&frame) else {
            unreachable!("the frame was an acquire when it came")
        };
        let Acquire { bucket, keys, mode, wait, .. } = acquire;
        let until =
            tokio::time::Instant::from_std(started + wait.min(context.config.lease_wait_max));
        context.engine.await_pending(&mut grants, bucket, keys.as_slice(), mode, until).await;
        Waited { request, grants, started }
    }
}

/// Appends the answer to an acquire, and gives its leases to the connection.
pub(super) fn answer(
    context: &Context,
    request: u64,
    grants: Grants,
    leases: &mut Leases,
    out: &mut Vec<u8>,
) {
    let mut frame = LeasesWriter::begin(std::mem::take(out), request);
    let mut tally = LeaseTally::default();
    for outcome in grants.outcomes() {
        match outcome {
            Ok(lease) => {
                leases.add(lease.id.sequence, lease.deadline);
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
