//! Checks of the daemon as it answers over HTTP.

use kvlease_client::{Announcement, Client, Error, QuotaState, StatsReply, TierState, Total};

use super::{
    names::Name,
    report::{Outcome, Report, Trouble},
};
use crate::metrics::Metrics;

/// Objects and misses from which on none of the objects having been found is no chance.
const MANY: u64 = 100;

/// Names that need the daemon's own account.
const OF_COUNTERS: [Name; 7] = [
    Name::NoHits,
    Name::LeasesExpire,
    Name::ReportsUnfounded,
    Name::UsersRefused,
    Name::TierBroken,
    Name::TierRefuses,
    Name::QuotaReached,
];

/// Daemon as it answers.
pub(super) struct Reached {
    pub(super) announcement: Announcement,
    /// Its account; `None` for a daemon of another make.
    pub(super) stats: Option<StatsReply>,
    /// Why there is no account.
    pub(super) unseen: &'static str,
    /// Words of the daemon to a caller that it does not know.
    unknown: Option<String>,
}

/// Asks the daemon. `None` if it does not answer.
pub(super) async fn check(client: &Client, report: &mut Report) -> Option<Reached> {
    let address = &client.config().address;
    if let Err(error) = client.ping().await {
        let remedy = format!(
            "start `kvlease serve`, or name the daemon's URL; in a pod without the host's network, let \
             it listen on an address that the pod reaches, url=`{address}`"
        );
        let (what, remedy) = match error {
            Error::Unreachable { source, .. } => (format!("no daemon answers: {source}"), remedy),
            // These say what to do about a certificate, a file or a time-out, where a start of the daemon is none.
            error => (error.to_string(), format!("do what the message says, url=`{address}`")),
        };
        report.add(Name::Unreachable, Outcome::wrong(what, remedy));
        report.unseen(&[Name::NotReady, Name::CallerRefused], "no daemon answers");
        report.unseen(&OF_COUNTERS, "no daemon answers");
        return None;
    }
    report.add(Name::Unreachable, Outcome::Right);
    report.add(Name::NotReady, ready(client).await);
    let (stats, unseen, unknown) = match client.stats().await {
        Ok(stats) => (Some(stats), "", None),
        Err(Error::Denied { status: 401, message, .. }) => (None, UNKNOWN_CALLER, Some(message)),
        Err(Error::Denied { .. }) => (None, NO_OPERATOR, None),
        Err(Error::Refused { status: 429, .. }) => (None, PAUSED, None),
        Err(_) => (None, OTHER_MAKE, None),
    };
    match &stats {
        None => report.unseen(&OF_COUNTERS, unseen),
        Some(stats) => match client.metrics().await {
            Ok(text) => counters(stats, &Metrics::parse(&text), report),
            Err(error) => report.unseen(&OF_COUNTERS, &error.to_string()),
        },
    }
    Some(Reached { announcement: client.announcement(), stats, unseen, unknown })
}

/// All checks of a setup whose settings are refused.
pub(super) fn unseen(why: &str, report: &mut Report) {
    report.unseen(&[Name::Unreachable, Name::NotReady, Name::CallerRefused], why);
    report.unseen(&OF_COUNTERS, why);
}

/// Reason for what only kvlease tells.
const OTHER_MAKE: &str = "the daemon gives no account of itself: it is none of kvlease";

/// Reasons for what the daemon tells to tenants with `admin` alone.
const UNKNOWN_CALLER: &str = "the daemon does not know this caller";
const PAUSED: &str = "the daemon answers this caller later: a quota is used up, or logins failed";
const NO_OPERATOR: &str = "the daemon gives its account to tenants with `admin` alone: look with the token of one, by --token-file";

/// Tells of a daemon that does not know this caller. One that has the fast lane needs a token for the rest alone.
pub(super) fn caller(reached: Option<&Reached>, has_lane: bool, report: &mut Report) {
    let Some(reached) = reached else { return };
    let outcome = match &reached.unknown {
        None => Outcome::Right,
        Some(said) => {
            let remedy = "name a file with a tenant's token: kvlease_token_file in LMCache's extra_config, token_file \
                          for its server, --token-file or KVLEASE_TOKEN_FILE here";
            let what = format!("the daemon does not know this caller over HTTP: {said}");
            if has_lane { Outcome::hint(what, remedy) } else { Outcome::wrong(what, remedy) }
        }
    };
    report.add(Name::CallerRefused, outcome);
}

async fn ready(client: &Client) -> Outcome {
    match client.ready().await {
        Ok(()) => Outcome::Right,
        Err(Error::Refused { status: 503, message, .. }) => Outcome::wrong(
            format!("the daemon takes no work: {message}"),
            "see its log; restart it if the name of its segment is gone or taken",
        ),
        // What a port with TLS says to plain HTTP.
        Err(Error::Refused { status: 400, message, .. }) if message.contains("https://") => {
            Outcome::wrong(
                message,
                "write https:// in the URL, and name the authority by tls_ca_file",
            )
        }
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
    report.add(Name::TierRefuses, tier_refuses(stats));
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
            "run them as the daemon's user, or set server.socket_mode and server.socket_gid; where there are tenants, \
             add the user to uids of one",
        ),
    }
}

fn tier_broken(stats: &StatsReply) -> Outcome {
    let broken: Vec<_> = stats.tiers.iter().filter(|tier| tier.broken).collect();
    let Some(tier) = broken.first() else { return Outcome::Right };
    Outcome::wrong(
        format!("the daemon leaves a tier alone since it fails: {} at `{}`", tier.tier, tier.place),
        "see the daemon's log for its error, which has the remedy; for a store, `kvlease doctor --serve` on the \
         daemon's machine tries it",
    )
}

/// A tier that has refused more than a tenth of what it was given.
fn tier_refuses(stats: &StatsReply) -> Outcome {
    let count = |tier: &TierState, name: &str| match tier.totals.get(name) {
        Some(Total::Count(count)) => *count,
        _ => 0,
    };
    let trouble = |tier: &TierState| {
        let (refused, taken) = (count(tier, "unfit"), count(tier, "stores"));
        if refused == 0 || refused < taken / 10 {
            return None;
        }
        let TierState { tier, place, .. } = tier;
        Some(Trouble::new(
            format!(
                "a tier took {taken} objects and refused {refused}, tier=`{tier}` place=`{place}`"
            ),
            "see the daemon's log for the reason. A full server: `maxmemory-policy allkeys-lru`. Objects too long: a \
             larger tier.nvme.capacity, or smaller chunks",
        ))
    };
    let troubles: Vec<_> = stats.tiers.iter().filter_map(trouble).collect();
    if troubles.is_empty() { Outcome::Right } else { Outcome::Wrong(troubles) }
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
