//! The page as its template has it.

use askama::Template;
use kvlease_api::{CurveReply, HistorySpan, StatsReply, StatusPageQuery};

use super::{
    super::admin::stats_reply,
    assets::{ASSETS, Assets},
    buckets::BucketPage,
    figure::Figure,
    hits::{self, AgeRow, LatencyRow, MissRow},
    memory::{self, SpaceRow, TierRow},
    recent::{self, EventRow, HistoryRow},
};
use crate::{config, context::Context, history::Figures};

/// The longest configuration that is shown, in bytes.
const CONFIG_LEN_MAX: usize = 64 << 10;

/// Everything that the page shows.
#[derive(Template)]
#[template(path = "status.html")]
pub(super) struct StatusPage {
    /// Root of the daemon's paths, relative to the page.
    root: String,
    assets: &'static Assets,
    span: HistorySpan,
    buckets_from: usize,
    stats: StatsReply,
    /// State of the daemon, and whether it takes work.
    state: &'static str,
    uptime: Figure,
    /// Time of the day in UTC.
    now: String,
    tiers: Vec<TierRow>,
    space: Vec<SpaceRow>,
    hits: Figure,
    misses: Figure,
    hit_ratio: Figure,
    miss_rows: Vec<MissRow>,
    latencies: Vec<LatencyRow>,
    totals: Vec<(&'static str, Figure)>,
    leases: Vec<(&'static str, Figure)>,
    ages: Vec<AgeRow>,
    buckets: BucketPage,
    curve: Option<Curve>,
    events: Vec<EventRow>,
    history: Vec<HistoryRow>,
    config: String,
}

/// The live curve as a table.
struct Curve {
    summary: String,
    references: Figure,
    /// The policy in force, and why it is that one.
    policy: String,
    capacities: Vec<Figure>,
    policies: Vec<(String, Vec<Figure>)>,
}

impl StatusPage {
    pub(super) fn of(context: &Context, query: StatusPageQuery) -> Self {
        let figures = Figures::of(&context.engine, &context.metrics);
        let stats = stats_reply(context, &figures);
        let root = context.config.status_page_path.root();
        Self {
            root,
            assets: &ASSETS,
            span: query.span,
            buckets_from: query.buckets_from,
            state: state(context),
            uptime: Figure::seconds(stats.uptime_s),
            now: recent::time_of_day(context.history.now()),
            tiers: memory::tiers(&stats),
            space: memory::space(&stats),
            hits: Figure::count(stats.hits),
            misses: Figure::count(stats.misses),
            hit_ratio: Figure::share(stats.hits, stats.hits + stats.misses),
            miss_rows: hits::misses(&figures.traffic),
            latencies: hits::latencies(&figures.traffic),
            totals: totals(&figures),
            leases: leases(&figures),
            ages: hits::ages(&context.engine.lease_ages()),
            buckets: BucketPage::of(context, query, stats.capacity),
            curve: stats.curve.as_ref().map(|curve| Curve::of(curve, &stats)),
            events: recent::events(context),
            history: recent::history(context, query.span),
            config: config_in_force(context),
            stats,
        }
    }
}

fn state(context: &Context) -> &'static str {
    match (context.status.check(), context.engine.is_attachable()) {
        (Err(_), _) => "shutting down",
        (Ok(()), false) => "clients cannot attach: see the log",
        (Ok(()), true) => "ready",
    }
}

/// The eviction policy in force, and why it is that one.
fn policy(stats: &StatsReply) -> String {
    let reason = stats.eviction_state.as_ref().map(|state| format!(": {}", state.reason));
    format!("{}{}", stats.eviction, reason.unwrap_or_default())
}

/// Objects and bytes since the start.
fn totals(figures: &Figures) -> Vec<(&'static str, Figure)> {
    let (totals, traffic) = (&figures.engine.catalog.totals, &figures.traffic);
    vec![
        ("Objects stored", Figure::count(totals.sealed)),
        ("Objects removed by request", Figure::count(totals.removed)),
        ("Objects whose time to live was over", Figure::count(totals.expired)),
        ("Objects evicted", Figure::count(totals.evicted)),
        ("Bytes evicted", Figure::bytes(totals.evicted_bytes)),
        ("Bytes taken in over HTTP", Figure::bytes(traffic.received)),
        ("Bytes written over the fast lane", Figure::bytes(traffic.written)),
        ("Bytes of objects sent over HTTP", Figure::bytes(traffic.sent)),
    ]
}

/// Leases and clients.
fn leases(figures: &Figures) -> Vec<(&'static str, Figure)> {
    let (catalog, traffic) = (&figures.engine.catalog, &figures.traffic);
    vec![
        ("Live leases", Figure::count(catalog.leases_live)),
        ("The most that may live at once", Figure::count(catalog.leases_max)),
        ("Age of the oldest", Figure::seconds(catalog.oldest_lease_age.as_secs_f64())),
        ("Bytes of leased objects", Figure::bytes(catalog.leased.bytes())),
        ("Expired without a release, since the start", {
            Figure::count(catalog.totals.expired_unreleased)
        }),
        ("Connections over HTTP", Figure::count(traffic.connections)),
        ("Connections of the fast lane", Figure::count(traffic.lane_connections)),
        ("Subscribers to events", Figure::count(figures.engine.subscribers as u64)),
    ]
}

/// The configuration as `--print-config` shows it, without credentials.
fn config_in_force(context: &Context) -> String {
    let mut text = config::print(&context.config.seen_in(&context.arena));
    let end = text.floor_char_boundary(CONFIG_LEN_MAX);
    if end < text.len() {
        text.truncate(end);
        text.push_str("\n# `kvlease serve --print-config` prints the rest\n");
    }
    text
}

impl Curve {
    fn of(curve: &CurveReply, stats: &StatsReply) -> Self {
        let mut policies: Vec<(String, Vec<Figure>)> = Vec::new();
        for point in &curve.points {
            let ratio = Figure::ratio(point.hit_ratio);
            match policies.last_mut().filter(|(policy, _)| *policy == point.policy) {
                Some((_, ratios)) => ratios.push(ratio),
                None => policies.push((point.policy.clone(), vec![ratio])),
            }
        }
        let first = curve.points.first().map(|point| point.policy.as_str());
        let of_first = curve.points.iter().filter(|point| Some(point.policy.as_str()) == first);
        Self {
            summary: curve.summary.clone(),
            references: Figure::count(curve.references as u64),
            policy: policy(stats),
            capacities: of_first.map(|point| Figure::bytes(point.capacity)).collect(),
            policies,
        }
    }
}
