//! Metrics of the live curve, read at every scrape; none without a curve.

use std::{fmt, sync::Arc};

use kvlease_engine::{CurveStats, Engine};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// The names of the labels.
const POLICY: &str = "policy";
const CAPACITY: &str = "capacity";

/// Reads the curve at every scrape.
pub(super) struct CurveCollector(Arc<Engine>);

impl CurveCollector {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self(engine)
    }
}

impl fmt::Debug for CurveCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CurveCollector")
    }
}

impl Collector for CurveCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(CurveStats { points, references, sample_rate, lost, memory }) = self.0.curve()
        else {
            return Ok(());
        };
        let help = "References that would find their object, by all references";
        let mut family =
            encoder.encode_descriptor("curve_hit_ratio", help, None, MetricType::Gauge)?;
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
}
