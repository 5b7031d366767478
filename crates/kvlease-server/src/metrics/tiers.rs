//! Metrics of the tiers below the arena, read at every scrape, with the kind of the tier as a label.

use std::fmt;

use kvlease_engine::{Engine, TierSnapshot, TierStats};
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::total;

/// The name of the label.
const TIER: &str = "tier";

/// The name of the label that tells how a tier moves bytes.
const WAY: &str = "way";

/// A gauge of a tier. `None` where it is not known.
struct Reading {
    name: &'static str,
    help: &'static str,
    bytes: bool,
    read: fn(&TierStats) -> Option<u64>,
}

#[rustfmt::skip]
const READINGS: &[Reading] = &[
    Reading { name: "tier_objects", help: "Objects in the tier", bytes: false, read: |s| s.usage.objects },
    Reading { name: "tier_used", help: "Bytes that they take, with what the tier stores beside them", bytes: true, read: |s| Some(s.usage.used?.bytes()) },
    Reading { name: "tier_capacity", help: "Size of the tier", bytes: true, read: |s| Some(s.usage.capacity?.bytes()) },
    Reading { name: "tier_queued", help: "Objects that wait to be copied to the tier", bytes: false, read: |s| Some(s.queued as u64) },
    Reading { name: "tier_copying", help: "Objects that are being copied to the tier, and do not wait any more", bytes: false, read: |s| Some(s.copying as u64) },
    Reading { name: "tier_broken", help: "1 while the tier is left alone since it fails", bytes: false, read: |s| Some(s.broken.into()) },
    Reading { name: "tier_load_rate_bytes_per_second", help: "Bytes a second of its loads, lately", bytes: false, read: |s| s.load_rate },
    Reading { name: "tier_load_rate_min_bytes_per_second", help: "Bytes a second below which loads are left out, if they ever are", bytes: false, read: |s| s.load_rate_min },
    Reading { name: "tier_slow", help: "1 while loads are left out since the tier is slower than computing again", bytes: false, read: |s| Some(s.slow.into()) },
];

/// Writes the metrics of the tiers; none without tiers.
pub(super) fn encode(engine: &Engine, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let tiers = engine.tiers();
    if tiers.is_empty() {
        return Ok(());
    }
    for Reading { name, help, bytes, read } in READINGS {
        let unit = bytes.then_some(Unit::Bytes);
        let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for tier in &tiers {
            if let Some(value) = read(tier) {
                let labels = [(TIER, tier.kind)];
                let metric = family.encode_family(&labels)?;
                ConstGauge::new(value).encode(metric)?;
            }
        }
    }
    let help = "1 for the way in which the tier moves bytes";
    let mut family = encoder.encode_descriptor("tier_way", help, None, MetricType::Gauge)?;
    for tier in &tiers {
        if let Some(way) = &tier.way {
            let labels = [(TIER, tier.kind), (WAY, way.as_str())];
            let metric = family.encode_family(&labels)?;
            ConstGauge::new(1_u64).encode(metric)?;
        }
    }
    let help = "Objects that gave their place in the tier to newer ones";
    let mut family =
        encoder.encode_descriptor("tier_forgotten", help, None, MetricType::Counter)?;
    for tier in &tiers {
        if let Some(forgotten) = tier.usage.forgotten {
            let labels = [(TIER, tier.kind)];
            ConstCounter::new(forgotten).encode(family.encode_family(&labels)?)?;
        }
    }
    for row in TierSnapshot::ROWS {
        let (name, unit) = (format!("tier_{}", row.name), total::unit(row.unit));
        let mut family =
            encoder.encode_descriptor(&name, row.help, unit.as_ref(), MetricType::Counter)?;
        for tier in &tiers {
            let labels = [(TIER, tier.kind)];
            let metric = family.encode_family(&labels)?;
            total::encode(row.unit, (row.read)(&tier.counters), metric)?;
        }
    }
    Ok(())
}
