//! Checks of the daemon as it answers over HTTP.

use kvlease_client::{Announcement, Client, Error, QuotaState, StatsReply};

use super::{
    names::Name,
    report::{Outcome, Report, Trouble},
};
use crate::metrics::Metrics;

/// Objects and misses from which on none of the objects having been found is no chance.
const MANY: u64 = 100;

/// Names that need the daemon's own account.
const OF_COUNTERS: [Name; 6] = [
    Name::NoHits,
    Name::LeasesExpire,
    Name::ReportsUnfounded,
    Name::UsersRefused,
    Name::TierBroken,
    Name::QuotaReached,
];

/// Daemon as it answers.
pub(super) struct Reached {
    pub(super) announcement: Announcement,
    /// Its account; `None` for a daemon of another make.
    pub(super) stats: Option<StatsReply>,
}

/// Asks the daemon. `None` if it does not answer.
pub(super) async fn check(client: &Client, report: &mut Report) -> Option<Reached> {
    let address = &client.config().address;
    if let Err(error) = client.ping().await {
        let remedy = format!(
            "start `kvlease serve`, or name the daemon's URL; in a pod without the host's network, let \
             it listen on an address that the pod reaches, url=`{address}`"
        );
        let what = match error {
            Error::Unreachable { source, .. } => format!("no daemon answers: {source}"),
            error => error.to_string(),
        };
        report.add(Name::Unreachable, Outcome::wrong(what, remedy));
        report.unseen(&[Name::NotReady], "no daemon answers");
        report.unseen(&OF_COUNTERS, "no daemon answers");
        return None;
    }
    report.add(Name::Unreachable, Outcome::Right);
    report.add(Name::NotReady, ready(client).await);
    let stats = client.stats().await.ok();
    match &stats {
        None => report.unseen(&OF_COUNTERS, OTHER_MAKE),
        Some(stats) => match client.metrics().await {
            Ok(text) => counters(stats, &Metrics::parse(&text), report),
            Err(error) => report.unseen(&OF_COUNTERS, &error.to_string()),
        },
    }
    Some(Reached { announcement: client.announcement(), stats })
}

/// All checks of a setup whose settings are refused.
pub(super) fn unseen(why: &str, report: &mut Report) {
    report.unseen(&[Name::Unreachable, Name::NotReady], why);
    report.unseen(&OF_COUNTERS, why);
}

/// Reason for what only kvlease tells.
pub(super) const OTHER_MAKE: &str = "the daemon gives no account of itself: it is none of kvlease";

async fn ready(client: &Client) -> Outcome {
    match client.ready().await {
        Ok(()) => Outcome::Right,
        Err(Error::Refused { status: 503, message, .. }) => Outcome::wrong(
            format!("the daemon takes no work: {message}"),
            "see its log; restart it if the name of its segment is gone or taken",
        ),
        Err(Error::Refused { .. }) => Outcome::unseen(OTHER_MAKE),
        Err(error) => Outcome::unseen(error.to_string()),
    }
}

fn counters(stats: &StatsReply, metrics: &Metrics, report: &mut Report) {
    report.add(Name::NoHits, no_hits(stats, metrics));
    report.add(Name::LeasesExpire, expire(stats));
    report.add(Name::ReportsUnfounded, unfounded(metrics));
    report.add(Name::UsersRefused, users_refused(metrics));
    report.add(Name::TierBroken, tier_broken(stats));
    report.add(Name::QuotaReached, quota_reached(&stats.quotas));
}

fn no_hits(stats: &StatsReply, metrics: &Metrics) -> Outcome {
    let stored = metrics.total("kvlease_objects_sealed_total") as u64;
    if stats.hits > 0 || stored < MANY || stats.misses < MANY {
        return Outcome::Right;
    }
    let misses = stats.misses;
    Outcome::wrong(
        format!("{stored} objects were stored and {misses} asked for, and none was found"),
        "compare PYTHONHASHSEED, model name, chunk_size and tensor-parallel width of all engines: \
         each is part of the keys",
    )
}

fn expire(stats: &StatsReply) -> Outcome {
    if stats.leases_expired == 0 {
        return Outcome::Right;
    }
    Outcome::wrong(
        format!(
            "{} leases ended by their time since the daemon started: clients took longer than that, or \
             ended in between",
            stats.leases_expired
        ),
        "raise the clients' time to live (sagemaker_hyperpod_lease_ttl_s, or lease_ttl_ms of LMCache's \
         server) and lease.ttl_max_s; look for clients that were killed",
    )
}

fn unfounded(metrics: &Metrics) -> Outcome {
    match metrics.total("kvlease_reports_unfounded_total") {
        0.0 => Outcome::Right,
        count => Outcome::wrong(
            format!("clients reported {count} objects as corrupt that the daemon finds intact"),
            "restart clients that mapped an earlier segment; then test the memory of the machine",
        ),
    }
}

fn users_refused(metrics: &Metrics) -> Outcome {
    match metrics.total("kvlease_lane_peers_refused_total") {
        0.0 => Outcome::Right,
        count => Outcome::wrong(
            format!("the fast lane refused clients {count} times since their user may not use it"),
            "run them as the daemon's user, or set server.socket_mode and server.socket_gid",
        ),
    }
}

fn tier_broken(stats: &StatsReply) -> Outcome {
    let broken: Vec<_> = stats.tiers.iter().filter(|tier| tier.broken).collect();
    let Some(tier) = broken.first() else { return Outcome::Right };
    Outcome::wrong(
        format!("the daemon leaves a tier alone since it fails: {} at `{}`", tier.tier, tier.place),
        "see the daemon's log for its error; check the disk, or the store and the way to it",
    )
}

/// Refusals for a quota are a finding. A quota that is used up makes its own objects leave.
fn quota_reached(quotas: &[QuotaState]) -> Outcome {
    let refused: Vec<_> = quotas.iter().filter(|quota| quota.refusals > 0).collect();
    if !refused.is_empty() {
        let trouble = |quota: &&QuotaState| {
            let QuotaState { of, name, refusals, .. } = quota;
            let what = format!("a quota refused {refusals} requests, {of}=`{name}`");
            Trouble::new(
                what,
                "see `kvlease status` for which number is reached; raise it, or ask for less",
            )
        };
        return Outcome::Wrong(refused.iter().map(trouble).collect());
    }
    let is_used_up = |used: u64, most: Option<u64>| most.is_some_and(|most| used >= most);
    // The next object is as long as the others are on average.
    let next = |quota: &QuotaState| quota.used / quota.objects.max(1);
    let full = quotas.iter().filter(|quota| {
        is_used_up(quota.used + next(quota), quota.bytes_max)
            || is_used_up(quota.objects, quota.objects_max)
            || is_used_up(quota.leases, quota.leases_max)
            || is_used_up(quota.connections, quota.connections_max)
    });
    let full: Vec<_> = full.map(|quota| format!("{} {}", quota.of, quota.name)).collect();
    if full.is_empty() {
        return Outcome::Right;
    }
    Outcome::hint(
        format!(
            "these have as much as their quotas allow: their own objects leave for new ones, quotas=`{}`",
            full.join(", ")
        ),
        "see `kvlease status`; raise the quota if what leaves is asked for again",
    )
}
