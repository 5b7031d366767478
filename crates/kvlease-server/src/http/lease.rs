//! Leases: acquire, release, renew.

use std::{slice, time::Duration};

use kvlease_api::{
    ErrorCode, JSON, LEASE_ID_LEN_MAX, LeaseQuery, LeaseReply, Names, RenewQuery, RenewReply,
};
use kvlease_cache::Lease;
use kvlease_types::{Caller, LeaseId, Miss, Mode};
use tokio::time::Instant;

use super::{
    body::Body,
    reply::{self, Answer, Refusal, Reply},
};
use crate::context::Context;

/// How long a client waits that does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

/// The part of the client's own limit within which it is answered. A client has given up on a
/// later answer, and the stock multi-process client takes it for a failed connection.
const TIMEOUT_SHARE: f64 = 0.9;

pub(super) async fn acquire(
    context: &Context,
    caller: &Caller,
    names: &Names,
    query: Option<&str>,
) -> Answer {
    let query = LeaseQuery::parse(query).map_err(Refusal::invalid)?;
    context.status.check()?;
    // Clients of HTTP attach by name: the extents would be those of another file.
    if context.engine.is_name_taken() {
        context.metrics.missed(Miss::Absent);
        let text = "another file has the segment's public name: remove that file";
        return Err(Refusal::new(ErrorCode::NotFound, text));
    }
    let wait = query.timeout.unwrap_or(TIMEOUT_DEFAULT).min(context.config.lease_wait_max);
    let (bucket, key) = names.object();
    let (bucket, key) = (bucket.as_str(), key.as_str());
    let keys = slice::from_ref(&key);
    let mut grants = context.engine.acquire(caller, bucket, keys, Mode::Each, query.ttl);
    if grants.is_pending() {
        let until = Instant::now() + wait.mul_f64(TIMEOUT_SHARE);
        // Boxed, so that an answer that waits for nothing does not carry its size.
        Box::pin(context.engine.await_pending(&mut grants, bucket, keys, Mode::Each, until)).await;
    }
    let lease = grants.first().map_err(|miss| {
        context.metrics.missed(miss);
        match miss {
            miss if miss.is_late() => {
                let text =
                    format!("{miss}, waited_ms=`{}`", wait.mul_f64(TIMEOUT_SHARE).as_millis());
                Refusal::new(ErrorCode::of_miss(miss), text)
            }
            Miss::LeaseQuota => {
                let quotas = lease_quotas(context, caller, bucket);
                Refusal::new(ErrorCode::of_miss(miss), format!("{miss}{quotas}"))
            }
            miss => miss.into(),
        }
    })?;
    let bytes = reply::json_bytes(&lease_reply(context, caller, lease, grants.ttl()));
    Ok(Reply::new(Some(JSON), Body::Lease(Some((bytes, grants)))))
}

/// The quotas of leases that an acquire is under.
fn lease_quotas(context: &Context, caller: &Caller, bucket: &str) -> String {
    let uses = context.engine.quota_uses();
    let tenant = context.access.as_ref().and_then(|access| access.tenant_of(caller));
    let of_tenant = tenant.and_then(|tenant| {
        let known = uses.tenants.iter().find(|(known, _)| Some(*known) == caller.tenant)?;
        let most = known.1.quota.leases_max?;
        Some(format!(", tenant=`{}` leases_max=`{most}`", tenant.name))
    });
    let known = uses.buckets.iter().find(|(name, _)| name.as_str() == bucket);
    let of_bucket = known.and_then(|(_, usage)| {
        usage.quota.leases_max.map(|most| format!(", bucket=`{bucket}` leases_max=`{most}`"))
    });
    of_tenant.into_iter().chain(of_bucket).collect()
}

/// Always a success for a well-formed id: a stock client that gets anything else asks again ten
/// times a second until the lease would have ended.
pub(super) fn release(context: &Context, caller: &Caller, names: &Names) -> Answer {
    if let Some(id) = find(context, caller, names.id())? {
        context.metrics.released(&context.engine.release(caller, &[id]));
    }
    Ok(reply::empty())
}

pub(super) fn renew(
    context: &Context,
    caller: &Caller,
    names: &Names,
    query: Option<&str>,
) -> Answer {
    let query = RenewQuery::parse(query).map_err(Refusal::invalid)?;
    let id = find(context, caller, names.id())?;
    let renewed = context.engine.renew(caller, id.as_slice(), query.ttl);
    if renewed.live == [true] {
        return Ok(reply::json(&RenewReply { ttl_s: renewed.ttl.as_secs_f64() }));
    }
    let message = format!("no such live lease: acquire the object again, id=`{}`", names.id());
    Err(Refusal::new(ErrorCode::NotFound, message))
}

/// The lease of this name; `None` for a well-formed name that this daemon never gave to this tenant.
fn find(context: &Context, caller: &Caller, name: &str) -> Result<Option<LeaseId>, Refusal> {
    let found = context.lease_ids.find(name, caller.tenant);
    if found.is_some() {
        return Ok(found);
    }
    let in_alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > LEASE_ID_LEN_MAX || !name.bytes().all(in_alphabet) {
        let message = format!(
            "a lease id consists of at most {LEASE_ID_LEN_MAX} letters, digits, `-` and `_`, \
             id=`{name}`"
        );
        return Err(Refusal::invalid(message));
    }
    Ok(None)
}

fn lease_reply(context: &Context, caller: &Caller, lease: &Lease, ttl: Duration) -> LeaseReply {
    LeaseReply {
        id: context.lease_ids.name(lease.id, caller.tenant),
        offsets: lease.extents.iter().map(|extent| (*extent).into()).collect(),
        ttl_s: Some(ttl.as_secs_f64()),
        checksum: Some(lease.checksum.to_string()),
        generation: Some(lease.generation),
        epoch: Some(lease.id.epoch.to_string()),
    }
}
