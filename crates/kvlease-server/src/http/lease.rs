//! Leases: grant, release, renew.

use std::time::Duration;

use http::Response;
use kvlease_api::{ErrorCode, LeaseQuery, LeaseReply, RenewQuery, RenewReply};
use kvlease_engine::LeaseGuard;
use kvlease_types::LeaseId;

use super::{
    body::Body,
    reply::{self, Refusal},
    routes::{Answer, Routes},
};

/// How long a client waits that does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

/// The part of the client's own limit within which it is answered. A later answer finds nobody
/// waiting, and the stock multi-process client takes it for a failed connection.
const TIMEOUT_SHARE: f64 = 0.9;

pub(super) async fn grant(routes: &Routes, bucket: &str, key: &str, query: Option<&str>) -> Answer {
    let query = LeaseQuery::parse(query).map_err(Refusal::invalid)?;
    routes.status.refuse_while_draining()?;
    let wait = query.timeout.unwrap_or(TIMEOUT_DEFAULT).min(routes.config.lease_wait_max);
    let wait = wait.mul_f64(TIMEOUT_SHARE);
    let lease = routes.engine.lease(bucket, key, query.ttl, wait).await;
    let lease = lease.inspect_err(|refused| routes.metrics.missed(*refused))?;
    let bytes = reply::json_bytes(&lease_reply(&lease));
    let mut response = Response::new(Body::Lease(Some((bytes, lease))));
    let json = http::HeaderValue::from_static(kvlease_api::JSON);
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}

/// Always a success for a well-formed id: a stock client that gets anything else asks again ten
/// times a second until the lease would have ended.
pub(super) fn release(routes: &Routes, id: &str) -> Answer {
    if let Some(held) = parse(id)?.and_then(|id| routes.engine.release(id)) {
        routes.metrics.released(held);
    }
    Ok(reply::empty())
}

pub(super) fn renew(routes: &Routes, id: &str, query: Option<&str>) -> Answer {
    let query = RenewQuery::parse(query).map_err(Refusal::invalid)?;
    match parse(id)?.and_then(|id| routes.engine.renew(id, query.ttl)) {
        Some(ttl) => Ok(reply::json(&RenewReply { ttl_s: ttl.as_secs_f64() })),
        None => {
            let message = format!("no such live lease: acquire the object again, id=`{id}`");
            Err(Refusal::new(ErrorCode::NotFound, message))
        }
    }
}

/// The lease of this name; `None` for a well-formed name that this daemon never gives.
fn parse(id: &str) -> Result<Option<LeaseId>, Refusal> {
    let well_formed =
        !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !well_formed {
        let message = format!("a lease id consists of letters, digits, `-` and `_`, id=`{id}`");
        return Err(Refusal::invalid(message));
    }
    Ok(id.parse().ok())
}

fn lease_reply(guard: &LeaseGuard) -> LeaseReply {
    let lease = guard.lease();
    LeaseReply {
        id: lease.id.to_string(),
        offsets: lease.extents.iter().map(|extent| (*extent).into()).collect(),
        ttl_s: Some(guard.ttl().as_secs_f64()),
        checksum: Some(lease.checksum.to_string()),
        generation: Some(lease.generation),
        epoch: Some(lease.id.epoch.to_string()),
    }
}
