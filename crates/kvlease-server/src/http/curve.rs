//! The live curve as a reply, with the sentence for people.

use kvlease_api::{CurvePointReply, CurveReply};
use kvlease_cache::EvictionKind;
use kvlease_engine::{CurveStats, EngineStats};

use crate::{config::Eviction, context::Context};

/// Uses of the sample below which the curve says nothing yet.
const REFERENCES_MIN: f64 = 1_000.0;

/// Difference that is worth a word: half a point.
const NOTABLE: f64 = 0.005;

/// The curve as a reply.
pub(super) fn curve_reply(
    context: &Context,
    stats: &EngineStats,
    curve: &CurveStats,
) -> CurveReply {
    let capacity = stats.catalog.capacity.bytes() as f64;
    let points = curve.points.iter().map(|point| CurvePointReply {
        policy: point.policy.to_string(),
        times: point.times,
        capacity: (capacity * point.times) as u64,
        hit_ratio: point.hit_ratio,
    });
    CurveReply {
        summary: summary(curve, stats.eviction),
        chooses: context.config.eviction == Eviction::Auto,
        references: curve.references,
        sample_rate: curve.sample_rate,
        memory: curve.memory.bytes(),
        points: points.collect(),
    }
}

/// Sentence on what more memory would give.
fn summary(curve: &CurveStats, policy: EvictionKind) -> String {
    if curve.references < REFERENCES_MIN {
        return "too few references yet to tell what more memory would give".to_owned();
    }
    let ratio = |policy, times| curve.hit_ratio(policy, times).unwrap_or(0.0);
    let percent = |ratio: f64| format!("{:.0} %", ratio * 100.0);
    let own = ratio(policy, 1.0);
    let mut text = format!(
        "twice the memory would give {} instead of {}, half of it {}, eight times as much {}",
        percent(ratio(policy, 2.0)),
        percent(own),
        percent(ratio(policy, 0.5)),
        percent(ratio(policy, 8.0))
    );
    let others = EvictionKind::ALL.into_iter().filter(|other| *other != policy);
    let best = others.max_by(|a, b| ratio(*a, 1.0).total_cmp(&ratio(*b, 1.0)));
    if let Some(best) = best.filter(|best| ratio(*best, 1.0) >= own + NOTABLE) {
        text.push_str(&format!("; {best} would give {:.1} %", ratio(best, 1.0) * 100.0));
        text.push_str(&format!(" instead of {:.1} % by {policy}", own * 100.0));
    }
    text
}

#[cfg(test)]
mod tests {
    use kvlease_engine::CurvePoint;
    use kvlease_types::ByteSize;

    use super::*;

    fn curve(references: f64, ratio: impl Fn(EvictionKind, f64) -> f64) -> CurveStats {
        let point = |policy, times| CurvePoint { policy, times, hit_ratio: ratio(policy, times) };
        let points = EvictionKind::ALL
            .into_iter()
            .flat_map(|policy| [0.25, 0.5, 1.0, 2.0, 4.0, 8.0].map(|times| point(policy, times)));
        let points = points.collect();
        CurveStats {
            points,
            references,
            sample_rate: 1.0,
            lost: 0,
            tracked: 0,
            memory: ByteSize::ZERO,
        }
    }

    #[test]
    fn the_sentence_tells_what_memory_and_policy_would_give() {
        let few = curve(999.0, |_, _| 0.5);
        assert!(summary(&few, EvictionKind::Lru).starts_with("too few references"));
        let flat = curve(1000.0, |_, times| 0.25 + times / 100.0);
        assert_eq!(
            summary(&flat, EvictionKind::Lru),
            "twice the memory would give 27 % instead of 26 %, half of it 26 %, eight times as \
             much 33 %"
        );
        let better = curve(1000.0, |policy, _| if policy == EvictionKind::Lru { 0.2 } else { 0.3 });
        let text = summary(&better, EvictionKind::Lru);
        assert!(text.ends_with("would give 30.0 % instead of 20.0 % by lru"), "{text}");
    }
}
