//! Metrics of the catalog and the engine, read at every scrape.

use std::fmt;

use kvlease_engine::{CountersSnapshot, Engine, EngineStats};
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::total;

/// A metric that is read from the engine.
struct Reading {
    name: &'static str,
    help: &'static str,
    kind: Kind,
}

enum Kind {
    Bytes(fn(&EngineStats) -> u64),
    Seconds(fn(&EngineStats) -> f64),
    Gauge(fn(&EngineStats) -> u64),
    Total(fn(&EngineStats) -> u64),
    TotalBytes(fn(&EngineStats) -> u64),
}

use Kind::{Bytes, Gauge, Seconds, Total, TotalBytes};

impl Kind {
    fn unit(&self) -> Option<Unit> {
        match self {
            Bytes(_) | TotalBytes(_) => Some(Unit::Bytes),
            Seconds(_) => Some(Unit::Seconds),
            Gauge(_) | Total(_) => None,
        }
    }
}

/// Readings of the catalog and of the recovery; the engine's counters name themselves. Without the
/// prefix and without the endings that the text format appends.
#[rustfmt::skip]
const READINGS: &[Reading] = &[
    Reading { name: "capacity", help: "Size of the arena", kind: Bytes(|s| s.catalog.capacity.bytes()) },
    Reading { name: "populated", help: "Part of the arena that is populated and usable so far", kind: Bytes(|s| s.catalog.populated.bytes()) },
    Reading { name: "free", help: "Free part of the arena", kind: Bytes(|s| s.catalog.free.bytes()) },
    Reading { name: "largest_free_extent", help: "Largest free run of the arena", kind: Bytes(|s| s.catalog.largest_free_extent.bytes()) },
    Reading { name: "stored", help: "Exact sizes of the sealed objects", kind: Bytes(|s| s.catalog.stored.bytes()) },
    Reading { name: "allocated", help: "Extents of the sealed objects, in whole units of 4 KiB", kind: Bytes(|s| s.catalog.allocated.bytes()) },
    Reading { name: "being_written", help: "Extents of pending objects", kind: Bytes(|s| s.catalog.being_written.bytes()) },
    Reading { name: "quarantined", help: "Extents that wait until no client can be reading them", kind: Bytes(|s| s.catalog.quarantined.bytes()) },
    Reading { name: "evictable", help: "Extents that eviction could make free now", kind: Bytes(|s| s.catalog.evictable.bytes()) },
    Reading { name: "leased", help: "Exact sizes of the objects with a live lease", kind: Bytes(|s| s.catalog.leased.bytes()) },
    Reading { name: "catalog_memory", help: "Memory of the catalog, by its own account", kind: Bytes(|s| s.catalog.memory.bytes()) },
    Reading { name: "catalog_memory_max", help: "Hard limit of that memory", kind: Bytes(|s| s.catalog.memory_max.bytes()) },
    Reading { name: "huge_pages", help: "1 if the kernel gives the arena huge pages", kind: Gauge(|s| u64::from(s.huge_pages)) },
    Reading { name: "objects", help: "Sealed objects", kind: Gauge(|s| s.catalog.objects) },
    Reading { name: "objects_unverified", help: "Sealed objects of an earlier start whose bytes were not verified yet", kind: Gauge(|s| s.catalog.unverified) },
    Reading { name: "restored_objects", help: "Objects taken over from an earlier start", kind: Gauge(|s| s.recovery.restored.objects) },
    Reading { name: "restored", help: "Exact sizes of these", kind: Bytes(|s| s.recovery.restored.bytes) },
    Reading { name: "recovery", help: "Time that taking them over took", kind: Seconds(|s| s.recovery.took.as_secs_f64()) },
    Reading { name: "recovery_dropped_objects", help: "Recorded objects that were not taken over", kind: Gauge(|s| s.recovery.dropped()) },
    Reading { name: "writes_in_flight", help: "Pending objects", kind: Gauge(|s| s.catalog.writes_in_flight) },
    Reading { name: "checkpoint_namespaces", help: "Namespaces of checkpoints", kind: Gauge(|s| s.checkpoints.namespaces) },
    Reading { name: "checkpoint_shards", help: "Shards of checkpoints", kind: Gauge(|s| s.checkpoints.shards) },
    Reading { name: "checkpoint_disk_shards", help: "Shards of checkpoints that are on the disk", kind: Gauge(|s| s.checkpoints.shards_on_disk) },
    Reading { name: "checkpoint_shards_elsewhere", help: "Shards that only the shared store has", kind: Gauge(|s| s.checkpoints.shards_elsewhere) },
    Reading { name: "checkpoint_replicas_waiting", help: "Copies to the shared store and removals from it that have not ended", kind: Gauge(|s| s.checkpoints.replicas_waiting) },
    Reading { name: "checkpoint_taken", help: "What checkpoints take of checkpoint.capacity, uploads included", kind: Bytes(|s| s.checkpoints.taken.bytes()) },
    Reading { name: "checkpoint_capacity", help: "What they may take at most", kind: Bytes(|s| s.checkpoints.capacity.bytes()) },
    Reading { name: "checkpoint_disk_taken", help: "What checkpoints take of checkpoint.disk_capacity, uploads included", kind: Bytes(|s| s.checkpoints.disk_taken.bytes()) },
    Reading { name: "checkpoint_disk_capacity", help: "What they may take of the disk at most", kind: Bytes(|s| s.checkpoints.disk_capacity.bytes()) },
    Reading { name: "event_subscribers", help: "Subscribers to events, over HTTP and ZeroMQ", kind: Gauge(|s| s.subscribers as u64) },
    Reading { name: "leases_live", help: "Leases that neither were released nor have expired", kind: Gauge(|s| s.catalog.leases_live) },
    Reading { name: "leases_max", help: "Most leases that may live at once", kind: Gauge(|s| s.catalog.leases_max) },
    Reading { name: "oldest_lease_age", help: "Age of the oldest live lease", kind: Seconds(|s| s.catalog.oldest_lease_age.as_secs_f64()) },
    Reading { name: "leases_granted", help: "Leases granted, those for GET included", kind: Total(|s| s.catalog.totals.granted) },
    Reading { name: "leases_released", help: "Leases released by their holder", kind: Total(|s| s.catalog.totals.released) },
    Reading { name: "leases_renewed", help: "Leases renewed", kind: Total(|s| s.catalog.totals.renewed) },
    Reading { name: "leases_expired_unreleased", help: "Leases that expired without a release", kind: Total(|s| s.catalog.totals.expired_unreleased) },
    Reading { name: "objects_sealed", help: "Objects stored", kind: Total(|s| s.catalog.totals.sealed) },
    Reading { name: "objects_removed", help: "Objects removed by request", kind: Total(|s| s.catalog.totals.removed) },
    Reading { name: "objects_expired", help: "Objects removed since the time to live of their bucket was over", kind: Total(|s| s.catalog.totals.expired) },
    Reading { name: "evictions", help: "Objects evicted", kind: Total(|s| s.catalog.totals.evicted) },
    Reading { name: "evicted", help: "Exact sizes of the evicted objects", kind: TotalBytes(|s| s.catalog.totals.evicted_bytes) },
    Reading { name: "writes_aborted", help: "Pending objects given up", kind: Total(|s| s.catalog.totals.aborted) },
];

/// Writes the metrics of the catalog and the engine.
pub(super) fn encode(engine: &Engine, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let stats = engine.stats();
    let mut write = |name: &str, help: &str, unit: Option<Unit>, metric: &dyn EncodeMetric| {
        let kind = metric.metric_type();
        metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), kind)?)
    };
    for Reading { name, help, kind } in READINGS {
        let mut write = |metric: &dyn EncodeMetric| write(name, help, kind.unit(), metric);
        match kind {
            Bytes(read) | Gauge(read) => write(&ConstGauge::new(read(&stats))),
            Seconds(read) => write(&ConstGauge::new(read(&stats))),
            Total(read) | TotalBytes(read) => write(&ConstCounter::new(read(&stats))),
        }?;
    }
    let labels = [("policy", stats.eviction.name())];
    let help = "1 for the eviction policy in use";
    let mut family = encoder.encode_descriptor("eviction_policy", help, None, MetricType::Gauge)?;
    ConstGauge::new(1_u64).encode(family.encode_family(&labels)?)?;
    for row in CountersSnapshot::ROWS {
        let unit = total::unit(row.unit);
        let metric =
            encoder.encode_descriptor(row.name, row.help, unit.as_ref(), MetricType::Counter)?;
        total::encode(row.unit, (row.read)(&stats.counters), metric)?;
    }
    Ok(())
}
