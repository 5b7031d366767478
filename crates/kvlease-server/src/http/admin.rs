//! Requests of operators and of programs that supervise the daemon.

use std::sync::LazyLock;

use kvlease_api::{BucketStats, ErrorCode, JSON, StatsReply, openapi_document};

use super::reply::{self, Answer, Refusal};
use crate::{context::Context, metrics};

/// The content type of plain words.
const TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn health() -> Answer {
    Ok(reply::typed(TEXT, "ok\n".into()))
}

pub(super) fn ready(context: &Context) -> Answer {
    context.status.check()?;
    if !context.engine.is_attachable() {
        let message =
            "clients cannot attach to the segment: its public name is gone or taken, see the log";
        return Err(Refusal::new(ErrorCode::Unavailable, message));
    }
    Ok(reply::typed(TEXT, "ready\n".into()))
}

pub(super) fn metrics(context: &Context) -> Answer {
    let text = context.metrics.encode();
    Ok(reply::typed(metrics::CONTENT_TYPE, text.into()))
}

pub(super) fn openapi() -> Answer {
    static DOCUMENT: LazyLock<String> = LazyLock::new(openapi_document);
    Ok(reply::typed(JSON, DOCUMENT.as_bytes().into()))
}

pub(super) fn stats(context: &Context) -> Answer {
    let stats = context.engine.stats().catalog;
    let buckets = context.engine.buckets().into_iter().map(|totals| BucketStats {
        bucket: totals.bucket.as_str().to_owned(),
        objects: totals.objects,
        stored: totals.stored.bytes(),
    });
    Ok(reply::json(&StatsReply {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: context.status.epoch().to_string(),
        shared_memory_name: context.config.shared_memory_name.to_string(),
        eviction: context.config.eviction.to_string(),
        uptime_s: context.status.uptime().as_secs_f64(),
        capacity: stats.capacity.bytes(),
        populated: stats.populated.bytes(),
        free: stats.free.bytes(),
        stored: stats.stored.bytes(),
        allocated: stats.allocated.bytes(),
        writing: stats.being_written.bytes(),
        quarantined: stats.quarantined.bytes(),
        largest_free: stats.largest_free_extent.bytes(),
        objects: stats.objects,
        writes: stats.writes_in_flight,
        leases: stats.leases_live,
        oldest_lease_s: stats.oldest_lease_age.as_secs_f64(),
        catalog_memory: stats.memory.bytes(),
        catalog_memory_max: stats.memory_max.bytes(),
        hits: context.metrics.hits(),
        misses: context.metrics.misses(),
        leases_expired: stats.totals.expired_unreleased,
        evictions: stats.totals.evicted,
        buckets: buckets.collect(),
    }))
}
