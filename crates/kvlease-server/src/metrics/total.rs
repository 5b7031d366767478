//! Totals of the engine as counters of the text format.

use std::{fmt, time::Duration};

use kvlease_engine::CounterUnit;
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::counter::ConstCounter,
    registry::Unit,
};

/// The unit of the metric.
pub(super) fn unit(unit: CounterUnit) -> Option<Unit> {
    match unit {
        CounterUnit::Count => None,
        CounterUnit::Bytes => Some(Unit::Bytes),
        CounterUnit::Nanoseconds => Some(Unit::Seconds),
    }
}

/// Writes a total in the unit of its metric.
pub(super) fn encode(unit: CounterUnit, total: u64, metric: MetricEncoder<'_>) -> fmt::Result {
    match unit {
        CounterUnit::Count | CounterUnit::Bytes => ConstCounter::new(total).encode(metric),
        CounterUnit::Nanoseconds => {
            ConstCounter::new(Duration::from_nanos(total).as_secs_f64()).encode(metric)
        }
    }
}
