//! Every place of one object, and the state of the tiers.

use std::{collections::BTreeMap, time::Duration};

use kvlease_api::{
    ErrorCode, HeldObject, MEMORY, Names, TierState, TiersReply, Total, UnansweredTier,
};
use kvlease_engine::{CounterRow, CounterUnit, TierSnapshot, TierStats, Whereabouts};
use kvlease_types::ByteSize;
use tokio::time::Instant;

use super::{
    kv::absent,
    reply::{self, Answer, Refusal},
};
use crate::context::Context;

/// How long a question about one object waits for all tiers together.
const ASK_TIME: Duration = Duration::from_secs(2);

/// The longest reason in a reply, in bytes: stores may say much.
const REASON_LEN_MAX: usize = 400;

/// Every place of an object.
pub(super) async fn find(context: &Context, names: &Names) -> Answer {
    let (bucket, key) = names.object();
    let until = Instant::now() + ASK_TIME;
    let found = context.engine.stat_everywhere(bucket.as_str(), key.as_str(), until).await;
    let reply = whereabouts(found);
    match reply.unanswered.as_slice() {
        _ if !reply.held.is_empty() => Ok(reply::json(&reply)),
        [] => Err(absent()),
        unanswered => {
            let tiers: Vec<_> =
                unanswered.iter().map(|tier| format!("{}: {}", tier.tier, tier.reason)).collect();
            let text = format!(
                "it is in no place that answered; a tier did not, and may have it: try again, \
                 tiers=`{}`",
                tiers.join("; ")
            );
            Err(Refusal::new(ErrorCode::Unavailable, text))
        }
    }
}

fn whereabouts(found: Whereabouts) -> TiersReply {
    let memory = found.memory.map(|info| HeldObject {
        tier: MEMORY.to_owned(),
        len: info.len.bytes(),
        checksum: info.checksum.to_string(),
        leases: Some(info.leases.into()),
    });
    let mut reply = TiersReply { held: memory.into_iter().collect(), unanswered: Vec::new() };
    for (kind, answer) in found.tiers {
        match answer {
            Ok(stat) => reply.held.extend(stat.map(|stat| HeldObject {
                tier: kind.to_owned(),
                len: stat.len.bytes(),
                checksum: stat.checksum.to_string(),
                leases: None,
            })),
            Err(error) => reply.unanswered.push(unanswered(kind, error)),
        }
    }
    reply
}

/// A tier that did not answer, with a reason of bounded length.
pub(super) fn unanswered(kind: &str, reason: impl ToString) -> UnansweredTier {
    let mut reason = reason.to_string();
    reason.truncate(reason.floor_char_boundary(REASON_LEN_MAX));
    UnansweredTier { tier: kind.to_owned(), reason }
}

/// The state of each tier, from the same readings as the metrics.
pub(super) fn states(tiers: &[TierStats]) -> Vec<TierState> {
    tiers.iter().map(state).collect()
}

fn state(stats: &TierStats) -> TierState {
    TierState {
        tier: stats.kind.to_owned(),
        place: stats.place.clone(),
        way: stats.way.clone(),
        shared: stats.is_shared,
        write_through: stats.write_through.to_string(),
        broken: stats.broken,
        objects: stats.usage.objects,
        used: stats.usage.used.map(ByteSize::bytes),
        capacity: stats.usage.capacity.map(ByteSize::bytes),
        queued: stats.queued as u64,
        queued_max: stats.queued_max as u64,
        copying: stats.copying as u64,
        forgotten: stats.usage.forgotten,
        load_rate: stats.load_rate,
        load_rate_min: stats.load_rate_min,
        slow: stats.slow,
        totals: totals(&stats.counters),
    }
}

fn totals(counters: &TierSnapshot) -> BTreeMap<String, Total> {
    let total = |row: &CounterRow<TierSnapshot>| {
        let value = (row.read)(counters);
        match row.unit {
            CounterUnit::Count => (row.name.to_owned(), Total::Count(value)),
            CounterUnit::Bytes => (format!("{}_bytes", row.name), Total::Count(value)),
            CounterUnit::Nanoseconds => {
                let seconds = Duration::from_nanos(value).as_secs_f64();
                (format!("{}_seconds", row.name), Total::Seconds(seconds))
            }
        }
    };
    TierSnapshot::ROWS.iter().map(total).collect()
}
