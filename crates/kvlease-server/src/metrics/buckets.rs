//! Metrics of the buckets that have a policy, read at every scrape, with the bucket's name as a label.
//! They are as few as policies are.

use std::fmt;

use kvlease_cache::ClassInfo;
use kvlease_engine::Engine;
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// The name of the label.
const BUCKET: &str = "bucket";

/// A figure of a bucket.
struct Reading {
    name: &'static str,
    help: &'static str,
    bytes: bool,
    /// Whether it is a count since the bucket has its policy.
    total: bool,
    read: fn(&ClassInfo) -> u64,
}

#[rustfmt::skip]
const READINGS: &[Reading] = &[
    Reading { name: "bucket_objects", help: "Sealed objects of the bucket", bytes: false, total: false, read: |c| c.objects },
    Reading { name: "bucket_taken", help: "Their extents, without those of objects that were chosen for eviction", bytes: true, total: false, read: |c| c.taken.bytes() },
    Reading { name: "bucket_pinned", help: "Extents of its pinned objects", bytes: true, total: false, read: |c| c.pinned.bytes() },
    Reading { name: "bucket_evictions", help: "Objects evicted from the bucket", bytes: false, total: true, read: |c| c.evicted },
    Reading { name: "bucket_evicted", help: "Exact sizes of these", bytes: true, total: true, read: |c| c.evicted_bytes },
    Reading { name: "bucket_expirations", help: "Objects of the bucket removed since their time to live was over", bytes: false, total: true, read: |c| c.expired },
    Reading { name: "bucket_unpinned", help: "Objects with a pinned prefix that were not pinned since as much as may be was", bytes: false, total: true, read: |c| c.unpinned },
];

/// Writes the metrics of the buckets that have a policy.
pub(super) fn encode(engine: &Engine, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let policies = engine.bucket_policies().policies;
    if policies.is_empty() {
        return Ok(());
    }
    for Reading { name, help, bytes, total, read } in READINGS {
        let unit = bytes.then_some(Unit::Bytes);
        let kind = if *total { MetricType::Counter } else { MetricType::Gauge };
        let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for info in &policies {
            let labels = [(BUCKET, info.bucket.as_str())];
            let metric = family.encode_family(&labels)?;
            match total {
                true => ConstCounter::new(read(&info.class)).encode(metric)?,
                false => ConstGauge::new(read(&info.class)).encode(metric)?,
            }
        }
    }
    Ok(())
}
