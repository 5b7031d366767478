//! Gate of frames: whether the client's tenant may do what they ask for.

use kvlease_api::lane::{Acquire, FailureCode, Kind, Lookup, Request, Reserve, Store};
use kvlease_types::{BucketName, Caller, Peer};

use crate::{
    access::{Decision, KeyRules, Means, Need, Right, Tenant, need_of_frame},
    audit::{Entry, level_of_frame},
    context::Context,
    metrics::AccessRefused,
    quotas::{ConnectionPlace, OverQuota},
};

/// The caller as its tenant, where there are tenants; `None` if it is none.
pub(super) fn identify(
    context: &Context,
    caller: Caller,
    (uid, gid): (u32, u32),
) -> Option<Caller> {
    let Some(access) = &context.access else { return Some(caller) };
    let found = access.identify_process(uid, gid).map(|(tenant, _)| caller.of_tenant(Some(tenant)));
    if found.is_none() {
        refused(context, &caller, (Kind::Hello, None), AccessRefused::Unidentified);
    }
    found
}

/// Takes a place among the connections of the caller's tenant.
pub(super) fn connect(
    context: &Context,
    caller: &Caller,
) -> Result<Option<ConnectionPlace>, OverQuota> {
    caller.tenant.map_or(Ok(None), |tenant| context.quotas.connect(tenant))
}

/// Whether a client may map the arena, and if it asks to, for writing. An error is a text with the remedy.
pub(super) fn admit_hello(
    context: &Context,
    caller: &Caller,
    writes: bool,
) -> Result<bool, String> {
    let Some(tenant) = tenant(context, caller) else { return Ok(writes) };
    if tenant.arena != context.place {
        refused(context, caller, (Kind::Hello, None), AccessRefused::Forbidden);
        return Err(tenant.refused_elsewhere());
    }
    match tenant.decide(Need::Mapping, None) {
        Decision::Forbidden(text) => {
            refused(context, caller, (Kind::Hello, None), AccessRefused::Forbidden);
            Err(text)
        }
        Decision::Allowed | Decision::Hidden => Ok(writes && tenant.maps_writable()),
    }
}

/// Decides on a request. One about a bucket that the client may not know of becomes the same about the
/// bucket that never has an object.
pub(super) fn admit<'a>(
    context: &Context,
    caller: &Caller,
    kind: Option<Kind>,
    request: Request<'a>,
) -> Result<Request<'a>, (FailureCode, String)> {
    let is_open = context.access.is_none() && context.audit.is_none() && !context.quotas.has_some();
    let is_open = is_open && context.config.salted_buckets.is_empty();
    let Some(kind) = kind.filter(|_| !is_open) else { return Ok(request) };
    let mut request = request;
    let bucket = bucket(&request);
    let tenant = tenant(context, caller);
    let mut decision = match (tenant, need_of_frame(kind)) {
        // A hello is refused for its place.
        (Some(tenant), Some(need)) if kind != Kind::Hello => tenant.decide(need, bucket),
        _ => Decision::Allowed,
    };
    let right = need_of_frame(kind).and_then(Need::right);
    if let (Decision::Allowed, Some(right)) = (&decision, right)
        && let Some(rules) = KeyRules::of(&context.config, tenant, bucket)
    {
        decision = decide_on_keys(rules, right, &mut request);
        if decision == Decision::Hidden {
            // The other keys of the frame are answered.
            refused(context, caller, (kind, bucket), AccessRefused::Hidden);
            decision = Decision::Allowed;
        }
    }
    match decision {
        Decision::Allowed => {
            count_in(context, caller, bucket, &request)?;
            if context.audit.as_ref().is_some_and(|audit| audit.has(level_of_frame(kind))) {
                note(context, caller, (kind, bucket), "ok");
            }
            Ok(request)
        }
        Decision::Hidden => {
            refused(context, caller, (kind, bucket), AccessRefused::Hidden);
            // It counts for the tenant. Of the bucket's quota it takes nothing, and learns nothing.
            count_in(context, caller, None, &request)?;
            Ok(hidden(request))
        }
        Decision::Forbidden(text) => {
            refused(context, caller, (kind, bucket), AccessRefused::Forbidden);
            Err((FailureCode::Forbidden, text))
        }
    }
}

/// Decides on the keys of a request that is allowed in its bucket. One that the client may not name has the whole
/// frame refused. Those that it may not know of are hidden among the others, and the decision says so.
fn decide_on_keys(rules: KeyRules<'_>, right: Right, request: &mut Request<'_>) -> Decision {
    let mut found = Decision::Allowed;
    // False ends the search: it is decided.
    let mut goes_on = |key: &str| {
        match rules.decide(right, key) {
            Decision::Allowed => {}
            Decision::Hidden => found = Decision::Hidden,
            forbidden @ Decision::Forbidden(_) => found = forbidden,
        }
        !matches!(found, Decision::Forbidden(_))
    };
    match request {
        Request::Acquire(Acquire { keys, .. })
        | Request::Exists(Lookup { keys, .. })
        | Request::Remove(Lookup { keys, .. }) => {
            keys.as_slice().iter().all(|key| goes_on(key));
            if found == Decision::Hidden {
                keys.hide_but(|key| rules.decide(right, key) == Decision::Allowed);
            }
        }
        Request::Reserve(reserve) => {
            reserve.objects.clone().all(|object| goes_on(object.key));
        }
        Request::Store(store) => {
            store.objects.clone().all(|object| goes_on(object.key));
        }
        _ => {}
    }
    found
}

pub(super) fn tenant<'c>(context: &'c Context, caller: &Caller) -> Option<&'c Tenant> {
    context.access.as_ref().and_then(|access| access.tenant_of(caller))
}

/// The bucket that a request names.
pub(super) fn bucket<'a>(request: &Request<'a>) -> Option<&'a str> {
    match request {
        Request::Acquire(acquire) => Some(acquire.bucket),
        Request::Exists(Lookup { bucket, .. })
        | Request::Remove(Lookup { bucket, .. })
        | Request::Reserve(Reserve { bucket, .. })
        | Request::Store(Store { bucket, .. }) => Some(bucket),
        Request::Hello(_)
        | Request::Release { .. }
        | Request::Renew { .. }
        | Request::Commit(_)
        | Request::Abort { .. }
        | Request::Index
        | Request::Used(_)
        | Request::Prepare(_) => None,
    }
}

/// Counts a request in the quotas of its tenant, and of a bucket.
fn count_in(
    context: &Context,
    caller: &Caller,
    bucket: Option<&str>,
    request: &Request<'_>,
) -> Result<(), (FailureCode, String)> {
    let counted = context.quotas.admit(caller.tenant, bucket, count(request));
    counted.map_err(|over| (FailureCode::TooManyRequests, over.to_string()))
}

/// How many requests it counts for: as many as it names objects to find or to store. What gives back, or ends
/// what was counted, counts for none.
fn count(request: &Request<'_>) -> u64 {
    let count = match request {
        Request::Acquire(acquire) => acquire.keys.as_slice().len(),
        Request::Exists(lookup) | Request::Remove(lookup) => lookup.keys.as_slice().len(),
        Request::Reserve(reserve) => reserve.objects.len(),
        Request::Store(store) => store.objects.len(),
        Request::Hello(_)
        | Request::Release { .. }
        | Request::Renew { .. }
        | Request::Commit(_)
        | Request::Abort { .. }
        | Request::Index
        | Request::Used(_)
        | Request::Prepare(_) => 0,
    };
    count as u64
}

/// The same request about the bucket that never has an object.
fn hidden(mut request: Request<'_>) -> Request<'_> {
    match &mut request {
        Request::Acquire(acquire) => acquire.bucket = BucketName::EMPTY,
        Request::Exists(lookup) | Request::Remove(lookup) => lookup.bucket = BucketName::EMPTY,
        other => unreachable!("a write is refused and not hidden: {other:?}"),
    }
    request
}

fn refused(context: &Context, caller: &Caller, what: (Kind, Option<&str>), reason: AccessRefused) {
    context.metrics.access.refused(reason);
    note(context, caller, what, reason.name());
}

fn note(
    context: &Context,
    caller: &Caller,
    (kind, bucket): (Kind, Option<&str>),
    outcome: &'static str,
) {
    let Some(audit) = &context.audit else { return };
    let operation = kind.name().to_ascii_lowercase();
    let tenant = tenant(context, caller).map(|tenant| tenant.name.as_str());
    let means = means(context, caller);
    audit.note(&Entry { caller, tenant, means, operation: &operation, bucket, outcome });
}

fn means(context: &Context, caller: &Caller) -> Option<Means> {
    let (Some(access), Peer::Lane { uid, gid, .. }) = (&context.access, caller.peer) else {
        return None;
    };
    access.identify_process(uid, gid).map(|(_, means)| means)
}
