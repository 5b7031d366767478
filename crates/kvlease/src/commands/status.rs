//! `kvlease status`: shows the state of daemons on one screen.

use std::io::{Write, stdout};

use clap::Args;
use kvlease_client::{
    Address, ArenaStats, ByteSize, QuotaState, StatsReply, TierState, Total, human_size,
};
use serde::Serialize;

use crate::{
    arguments::{self, DaemonArgs},
    failure::{Failure, Status},
    nodes::{Node, Sample, State},
    text::{counted_objects, human_span, pretty, printable},
};

/// Quotas that the screen has room for.
const QUOTAS: usize = 8;

/// Buckets that the screen has room for.
const BUCKETS: usize = 8;

/// The arguments of `status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kvlease status
  kvlease status http://node-1:9200 http://node-2:9200
  kvlease status --json | jq '.[].stats.hits'

Exit statuses: 0 all are ready; 69 one is not; 77 one is, and denies its account.")]
pub(crate) struct StatusArgs {
    /// The daemons [default: that of --url]
    #[arg(value_name = "URL", value_parser = arguments::url)]
    urls: Vec<Address>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// A daemon as `--json` prints it.
#[derive(Serialize)]
struct Shown<'a> {
    url: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Answer of `/v1/stats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<&'a StatsReply>,
}

/// Shows the daemons. Fails after that if one is not ready.
pub(crate) fn run(daemon: &DaemonArgs, args: &StatusArgs) -> Result<(), Failure> {
    let nodes = Node::all(daemon, &args.urls)?;
    let samples = super::wait_for(async {
        let asked: Vec<_> = nodes.iter().map(|node| node.sample(false)).collect();
        Ok(futures_util::future::join_all(asked).await)
    })?;
    let pairs = || nodes.iter().zip(&samples);
    let text = match args.json {
        true => pretty(&pairs().map(|(node, sample)| shown(node, sample)).collect::<Vec<_>>()),
        false => pairs().map(|(node, sample)| lines(node, sample)).collect::<Vec<_>>().join("\n"),
    };
    stdout().write_all(text.as_bytes()).map_err(Failure::stdout)?;
    let is_denied = |sample: &Sample| matches!(sample.state, State::Ready | State::Denied(_));
    let status = match samples.iter().all(is_denied) {
        true => Status::Denied,
        false => Status::Unavailable,
    };
    let refused = pairs().filter_map(|(node, sample)| Some((node, sample.state.reason()?)));
    let refused = refused.map(|(node, why)| format!("{}: {}", node.url, printable(why)));
    let refused: Vec<_> = refused.collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(status, refused.join("\nkvlease: "))),
    }
}

fn shown<'a>(node: &'a Node, sample: &'a Sample) -> Shown<'a> {
    let (state, reason) = (sample.state.word(), sample.state.reason());
    Shown { url: &node.url, state, reason, stats: sample.stats.as_ref() }
}

fn lines(node: &Node, sample: &Sample) -> String {
    let state = sample.state.word();
    let Some(stats) = &sample.stats else { return format!("{}  {state}\n", node.url) };
    let version = printable(&stats.version);
    let up = human_span(stats.uptime_s);
    format!("{}  {state}  kvlease {version}, up {up}\n{}", node.url, account(stats))
}

/// The account of a daemon, a line for each part of it.
pub(crate) fn account(stats: &StatsReply) -> String {
    let size = |bytes: u64| human_size(ByteSize::new(bytes));
    let mut lines = vec![
        (
            "memory",
            format!(
                "{} of {} taken by {} of {}; largest free {}",
                size(stats.allocated),
                size(stats.capacity),
                counted_objects(stats.objects),
                size(stats.stored),
                size(stats.largest_free)
            ),
        ),
        (
            "pending",
            format!(
                "{} writes of {}; {} in quarantine",
                stats.writes,
                size(stats.writing),
                size(stats.quarantined)
            ),
        ),
        ("hits", hits(stats.hits, stats.misses)),
        ("leases", leases(stats)),
        ("evictions", evictions(stats)),
        (
            "catalog",
            format!("{} of {}", size(stats.catalog_memory), size(stats.catalog_memory_max)),
        ),
        ("segment", printable(&stats.shared_memory_name)),
    ];
    if stats.populated < stats.capacity {
        lines.insert(1, ("populated", size(stats.populated)));
    }
    lines.extend(stats.tiers.iter().map(|state| ("tier", tier(state))));
    lines.extend(stats.arenas.iter().map(|stats| ("arena", arena(stats))));
    lines.extend(stats.quotas.iter().take(QUOTAS).map(|state| ("quota", quota(state))));
    if stats.quotas.len() > QUOTAS {
        lines.push(("quota", "and others: `--json` has all".to_owned()));
    }
    lines.extend(stats.curve.iter().map(|curve| ("curve", printable(&curve.summary))));
    let mut buckets: Vec<_> = stats.buckets.iter().collect();
    buckets.sort_by_key(|bucket| std::cmp::Reverse(bucket.stored));
    let more = buckets.len() > BUCKETS || stats.next_buckets_after.is_some();
    lines.extend(buckets.iter().take(BUCKETS).map(|bucket| {
        let (name, stored) = (printable(&bucket.bucket), size(bucket.stored));
        ("bucket", format!("{name}: {} of {stored}", counted_objects(bucket.objects)))
    }));
    if more {
        lines.push(("bucket", "and others: `--json` has more".to_owned()));
    }
    lines.iter().map(|(name, text)| format!("  {name:<10} {text}\n")).collect()
}

fn hits(hits: u64, misses: u64) -> String {
    match hits + misses {
        0 => "none asked for yet".to_owned(),
        all => format!("{:.1} % of {all}", hits as f64 * 100.0 / all as f64),
    }
}

fn evictions(stats: &StatsReply) -> String {
    let mut text = format!("{} by {}", stats.evictions, printable(&stats.eviction));
    // What is configured needs no reason.
    let auto = stats.eviction_state.iter().filter(|state| state.setting != state.policy);
    text.extend(auto.map(|state| {
        let in_force = human_span(state.in_force_s);
        format!(", for {in_force}: {}", printable(&state.reason))
    }));
    text
}

fn leases(stats: &StatsReply) -> String {
    let mut text = format!("{} live", stats.leases);
    if stats.leases > 0 {
        text.push_str(&format!(", the oldest {}", human_span(stats.oldest_lease_s)));
    }
    format!("{text}; {} expired without a release", stats.leases_expired)
}

fn arena(stats: &ArenaStats) -> String {
    let size = |bytes: u64| human_size(ByteSize::new(bytes));
    format!(
        "{}: {} of {}, {} of {} free; {}; {} leases; segment {}; tenants {}",
        printable(&stats.arena),
        counted_objects(stats.objects),
        size(stats.stored),
        size(stats.free),
        size(stats.capacity),
        hits(stats.hits, stats.misses),
        stats.leases,
        printable(&stats.shared_memory_name),
        printable(&stats.tenants.join(", "))
    )
}

fn quota(state: &QuotaState) -> String {
    let size = |bytes: u64| human_size(ByteSize::new(bytes));
    let most = |used: String, most: Option<String>, what: &str| {
        most.map(|most| format!("{used} of {most}{what}"))
    };
    let number = |most: Option<u64>| most.map(|most| most.to_string());
    let parts = [
        most(size(state.used), state.bytes_max.map(size), ""),
        state.bytes_guaranteed.map(|guaranteed| format!("{} guaranteed", size(guaranteed))),
        most(state.objects.to_string(), number(state.objects_max), " objects"),
        most(state.leases.to_string(), number(state.leases_max), " leases"),
        most(state.connections.to_string(), number(state.connections_max), " connections"),
        state.requests_per_s.map(|rate| format!("{rate} requests/s")),
        Some(format!("{} refusals", state.refusals)),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("{} {}: {}", printable(&state.of), printable(&state.name), parts.join(", "))
}

fn tier(state: &TierState) -> String {
    let size = |bytes: u64| human_size(ByteSize::new(bytes));
    let mut text = format!("{} at {}", printable(&state.tier), printable(&state.place));
    let health = match state {
        TierState { broken: true, .. } => "left alone since it fails",
        TierState { slow: true, .. } => "slow, so that loads are left out",
        _ => "in use",
    };
    text.push_str(&format!(": {health}"));
    if let Some(used) = state.used {
        text.push_str(&format!(", {}", size(used)));
        if let Some(capacity) = state.capacity {
            text.push_str(&format!(" of {}", size(capacity)));
        }
    }
    if let Some(objects) = state.objects {
        text.push_str(&format!(", {}", counted_objects(objects)));
    }
    text.push_str(&format!(", {} wait to be copied", state.queued));
    if let Some(Total::Count(refused @ 1..)) = state.totals.get("unfit") {
        text.push_str(&format!(", {refused} refused"));
    }
    text
}
