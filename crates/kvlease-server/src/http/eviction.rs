//! The eviction policy in force as a reply, with the sentence that says why it is that one.

use kvlease_api::{ChosenReply, EvictionReply, PolicyHitRatio};
use kvlease_engine::{CurveStats, EngineStats, PolicyChoice};

use crate::config::Eviction;

/// The policy as a reply.
pub(super) fn eviction_reply(
    setting: Eviction,
    stats: &EngineStats,
    curve: Option<&CurveStats>,
) -> EvictionReply {
    let points = curve.into_iter().flat_map(|curve| &curve.points);
    let own = points.filter(|point| point.times == 1.0);
    let state = &stats.policy;
    EvictionReply {
        policy: stats.eviction.to_string(),
        setting: setting.to_string(),
        in_force_s: state.in_force.as_secs_f64(),
        changing: state.is_changing,
        changes: stats.counters.eviction_changes,
        reason: reason(setting, state.choice.as_ref()),
        hit_ratios: own
            .map(|point| PolicyHitRatio {
                policy: point.policy.to_string(),
                hit_ratio: point.hit_ratio,
            })
            .collect(),
        chosen: state.choice.map(|choice| ChosenReply {
            before: choice.before.to_string(),
            hit_ratio_before: choice.hit_ratio_before,
            hit_ratio: choice.hit_ratio,
            references: choice.references,
        }),
    }
}

fn reason(setting: Eviction, choice: Option<&PolicyChoice>) -> String {
    match (setting, choice) {
        (Eviction::Always(_), _) => "cache.eviction says so".to_owned(),
        (Eviction::Auto, None) => {
            "the first one of cache.eviction = \"auto\": none was clearly better so far".to_owned()
        }
        (Eviction::Auto, Some(choice)) => format!(
            "chosen for {:.1} % of hits instead of {:.1} % by {}, of {:.0} references",
            choice.hit_ratio * 100.0,
            choice.hit_ratio_before * 100.0,
            choice.before,
            choice.references
        ),
    }
}

#[cfg(test)]
mod tests {
    use kvlease_cache::EvictionKind;

    use super::*;

    #[test]
    fn the_reason_names_the_setting_or_what_the_curve_told() {
        let choice = PolicyChoice {
            before: EvictionKind::Lru,
            hit_ratio_before: 0.1,
            policy: EvictionKind::S3Fifo,
            hit_ratio: 0.2345,
            references: 12_345.6,
        };
        let always = Eviction::Always(EvictionKind::Lru);
        assert_eq!(reason(always, None), "cache.eviction says so");
        assert!(reason(Eviction::Auto, None).starts_with("the first one"));
        assert_eq!(
            reason(Eviction::Auto, Some(&choice)),
            "chosen for 23.4 % of hits instead of 10.0 % by lru, of 12346 references"
        );
    }
}
