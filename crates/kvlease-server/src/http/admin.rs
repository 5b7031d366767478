//! Requests of operators and of programs that supervise the daemon.

use std::{iter, sync::LazyLock};

use http::{HeaderMap, HeaderValue, header};
use kvlease_api::{
    ArenaStats, BucketStats, ErrorCode, JSON, StatsQuery, StatsReply, openapi_document,
};

use super::{
    apart::apart,
    curve::curve_reply,
    eviction::eviction_reply,
    negotiation::wants_open_metrics,
    page::{PAGE_MEMORY, Page},
    reply::{self, Answer, Refusal},
    tiers,
};
use crate::{connection_memory::Purpose, context::Context, history::Figures, metrics, quotas};

/// The content type of plain words.
const TEXT: &str = "text/plain; charset=utf-8";

/// Memory for the metrics while they are made: two strings that grow by doubling.
const METRICS_MEMORY: usize = 512 << 10;

pub(super) fn health() -> Answer {
    Ok(reply::typed(TEXT, "ok\n".into()))
}

pub(super) fn ready(context: &Context) -> Answer {
    context.status.check()?;
    let others = context.others.iter().map(|other| &other.engine);
    if !iter::once(&context.engine).chain(others).all(|engine| engine.is_attachable()) {
        let message =
            "clients cannot attach to the segment: its public name is gone or taken, see the log";
        return Err(Refusal::new(ErrorCode::Unavailable, message));
    }
    Ok(reply::typed(TEXT, "ready\n".into()))
}

/// The metrics, in the format that the client asks for.
pub(super) async fn metrics(context: &Context, headers: &HeaderMap) -> Answer {
    let held = reply::memory(context, Purpose::Admin, METRICS_MEMORY).await?;
    let is_open = wants_open_metrics(headers);
    let encode = || {
        let text = context.metrics.encode();
        if is_open { text } else { metrics::prometheus_text(&text) }
    };
    let text = apart(context, encode).await?;
    let content_type = if is_open { metrics::OPEN_METRICS } else { metrics::PROMETHEUS_TEXT };
    let reply = reply::accounted(content_type, text.into(), held);
    Ok(reply.with(header::VARY, HeaderValue::from_static("accept")))
}

pub(super) fn openapi() -> Answer {
    static DOCUMENT: LazyLock<String> = LazyLock::new(openapi_document);
    Ok(reply::typed(JSON, DOCUMENT.as_bytes().into()))
}

pub(super) async fn stats(context: &Context, query: Option<&str>) -> Answer {
    let query = StatsQuery::parse(query).map_err(Refusal::invalid)?;
    let held = reply::memory(context, Purpose::Admin, PAGE_MEMORY).await?;
    let stats = || {
        let (buckets, next_buckets_after) = buckets(context, &query);
        let figures = Figures::of(&context.engine, &context.metrics);
        reply::json_bytes(&StatsReply {
            buckets,
            next_buckets_after,
            ..stats_reply(context, &figures)
        })
    };
    let bytes = apart(context, stats).await?;
    Ok(reply::accounted(JSON, bytes, held))
}

/// The state of the daemon without its buckets.
pub(super) fn stats_reply(context: &Context, figures: &Figures) -> StatsReply {
    let engine = &figures.engine;
    let curve = context.engine.curve();
    let eviction_state = eviction_reply(context.config.eviction, engine, curve.as_ref());
    let curve = curve.map(|curve| curve_reply(context, engine, &curve));
    let stats = &engine.catalog;
    StatsReply {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: context.status.epoch().to_string(),
        shared_memory_name: context.config.shared_memory_name.to_string(),
        eviction: engine.eviction.to_string(),
        eviction_state: Some(eviction_state),
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
        hits: figures.hits(),
        misses: figures.traffic.misses,
        leases_expired: stats.totals.expired_unreleased,
        evictions: stats.totals.evicted,
        curve,
        tiers: tiers::states(&figures.tiers),
        arenas: arenas(context, figures),
        quotas: quotas::states(context),
        buckets: Vec::new(),
        next_buckets_after: None,
    }
}

/// All arenas of the daemon, the first one first; none where that is the only one.
fn arenas(context: &Context, figures: &Figures) -> Vec<ArenaStats> {
    if context.others.is_empty() {
        return Vec::new();
    }
    let others = context
        .others
        .iter()
        .map(|other| arena(other, &Figures::of(&other.engine, &other.metrics)));
    iter::once(arena(context, figures)).chain(others).collect()
}

fn arena(context: &Context, figures: &Figures) -> ArenaStats {
    let stats = &figures.engine.catalog;
    let tenants = context.access.iter().flat_map(|access| access.tenants());
    let tenants = tenants.filter(|tenant| tenant.arena == context.place);
    ArenaStats {
        arena: context.arena.to_string(),
        tenants: tenants.map(|tenant| tenant.name.clone()).collect(),
        shared_memory_name: context.config.shared_memory_name.to_string(),
        capacity: stats.capacity.bytes(),
        free: stats.free.bytes(),
        stored: stats.stored.bytes(),
        objects: stats.objects,
        leases: stats.leases_live,
        hits: figures.hits(),
        misses: figures.traffic.misses,
        evictions: stats.totals.evicted,
    }
}

/// One page of the buckets, and the name behind which the next one starts.
fn buckets(context: &Context, query: &StatsQuery) -> (Vec<BucketStats>, Option<String>) {
    // One more than asked for shows whether another page follows.
    let totals = context.engine.buckets(&query.buckets_after, query.buckets_limit + 1);
    let found = totals.len();
    let mut page = Page::new();
    for totals in totals.into_iter().take(query.buckets_limit) {
        let fits = page.push(BucketStats {
            bucket: totals.bucket.as_str().to_owned(),
            objects: totals.objects,
            stored: totals.stored.bytes(),
        });
        if !fits {
            break;
        }
    }
    let buckets = page.into_items();
    let is_last = buckets.len() == found;
    let last = buckets.last().map(|bucket| bucket.bucket.clone());
    (buckets, last.filter(|_| !is_last))
}
