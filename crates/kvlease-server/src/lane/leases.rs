//! Leases of one connection. The catalog knows whose they are.

use std::time::Duration;

use kvlease_api::lane::{DoneStatus, Ids};
use kvlease_types::{Caller, LeaseId};

use crate::context::Context;

/// Releases the leases that a request names, and appends their statuses.
pub(super) fn release(
    context: &Context,
    caller: &Caller,
    ids: Ids<'_>,
    statuses: &mut Vec<DoneStatus>,
) {
    let held = context.engine.release(caller, &named(context, ids));
    statuses.extend(held.iter().map(|held| DoneStatus::of_lease(held.is_some())));
    context.metrics.released(&held);
}

/// Extends the leases that a request names, and appends their statuses. Returns the time to live
/// that was granted.
pub(super) fn renew(
    context: &Context,
    caller: &Caller,
    ids: Ids<'_>,
    ttl: Option<Duration>,
    statuses: &mut Vec<DoneStatus>,
) -> Duration {
    let renewed = context.engine.renew(caller, &named(context, ids), ttl);
    statuses.extend(renewed.live.into_iter().map(DoneStatus::of_lease));
    renewed.ttl
}

/// Releases all leases of a connection whose client has gone.
pub(super) fn release_all(context: &Context, caller: &Caller) {
    let held: Vec<_> = context.engine.release_all(caller).into_iter().map(Some).collect();
    context.metrics.released(&held);
}

fn named(context: &Context, ids: Ids<'_>) -> Vec<LeaseId> {
    let epoch = context.status.epoch();
    ids.map(|sequence| LeaseId { epoch, sequence }).collect()
}
