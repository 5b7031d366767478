//! Metrics of the live curve, read at every scrape; none without a curve.

use std::fmt;

use kvlease_engine::{CurveStats, Engine};
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// The names of the labels.
const POLICY: &str = "policy";
const CAPACITY: &str = "capacity";

/// Writes the metrics of the curve; none without a curve.
pub(super) fn encode(engine: &Engine, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let Some(CurveStats { points, references, sample_rate, lost, memory, .. }) = engine.curve()
    else {
        return Ok(());
    };
    let help = "References that would find their object, by all references";
    let mut family = encoder.encode_descriptor("curve_hit_ratio", help, None, MetricType::Gauge)?;
    for point in points {
        let times = point.times.to_string();
        let labels = [(POLICY, point.policy.name()), (CAPACITY, times.as_str())];
        ConstGauge::new(point.hit_ratio).encode(family.encode_family(&labels)?)?;
    }
    let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: f64| {
        let metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    };
    let help = "References of the sample that the curve rests on, those of long ago in part";
    gauge("curve_references", help, None, references)?;
    gauge("curve_sample_rate", "Part of all objects in the sample", None, sample_rate)?;
    let help = "Memory of the curve, by its own account";
    gauge("curve_memory", help, Some(&Unit::Bytes), memory.bytes() as f64)?;
    let help = "References of the sample that came too quickly to be followed";
    let kind = MetricType::Counter;
    let metric = encoder.encode_descriptor("curve_references_lost", help, None, kind)?;
    ConstCounter::new(lost).encode(metric)
}
