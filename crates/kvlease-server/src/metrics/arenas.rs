//! Metrics of the arenas beside the first, read at every scrape, with the arena's name as a label. The
//! first one has the series without that label, as a daemon with one arena.

use std::{fmt, sync::Arc};

use kvlease_engine::EngineStats;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// The name of the label.
const ARENA: &str = "arena";

/// Figures of an arena at one moment.
pub(super) struct ArenaFigures {
    pub(super) engine: EngineStats,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) lane_connections: u64,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) written: u64,
}

/// Name of an arena, and what reads its figures.
pub(super) type OtherArena = (Arc<str>, Box<dyn Fn() -> ArenaFigures + Send + Sync>);

/// A figure of an arena.
struct Reading {
    name: &'static str,
    help: &'static str,
    bytes: bool,
    /// Whether it is a count since the start.
    total: bool,
    read: fn(&ArenaFigures) -> u64,
}

#[rustfmt::skip]
const READINGS: &[Reading] = &[
    Reading { name: "arena_capacity", help: "Size of the arena", bytes: true, total: false, read: |f| f.engine.catalog.capacity.bytes() },
    Reading { name: "arena_free", help: "Free part of the arena", bytes: true, total: false, read: |f| f.engine.catalog.free.bytes() },
    Reading { name: "arena_stored", help: "Exact sizes of the arena's sealed objects", bytes: true, total: false, read: |f| f.engine.catalog.stored.bytes() },
    Reading { name: "arena_objects", help: "Sealed objects of the arena", bytes: false, total: false, read: |f| f.engine.catalog.objects },
    Reading { name: "arena_leases_live", help: "Live leases of the arena's objects", bytes: false, total: false, read: |f| f.engine.catalog.leases_live },
    Reading { name: "arena_lane_connections", help: "Open connections of the arena's fast lane", bytes: false, total: false, read: |f| f.lane_connections },
    Reading { name: "arena_hits", help: "Leases granted, and reads by the published index", bytes: false, total: true, read: |f| f.hits },
    Reading { name: "arena_misses", help: "Leases refused since the object was absent", bytes: false, total: true, read: |f| f.misses },
    Reading { name: "arena_evictions", help: "Objects evicted from the arena", bytes: false, total: true, read: |f| f.engine.catalog.totals.evicted },
    Reading { name: "arena_evicted", help: "Exact sizes of these", bytes: true, total: true, read: |f| f.engine.catalog.totals.evicted_bytes },
    Reading { name: "arena_received", help: "Bytes of uploads taken in over HTTP", bytes: true, total: true, read: |f| f.received },
    Reading { name: "arena_sent", help: "Bytes of objects sent over HTTP", bytes: true, total: true, read: |f| f.sent },
    Reading { name: "arena_written", help: "Bytes that clients of the fast lane wrote into the arena", bytes: true, total: true, read: |f| f.written },
];

/// Collector of the figures of arenas.
pub(super) struct OtherArenas(Vec<OtherArena>);

impl OtherArenas {
    pub(super) fn new(arenas: Vec<OtherArena>) -> Self {
        Self(arenas)
    }
}

impl fmt::Debug for OtherArenas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtherArenas")
    }
}

impl Collector for OtherArenas {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures: Vec<_> = self.0.iter().map(|(name, read)| (name, read())).collect();
        for Reading { name, help, bytes, total, read } in READINGS {
            let unit = bytes.then_some(Unit::Bytes);
            let kind = if *total { MetricType::Counter } else { MetricType::Gauge };
            let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
            for (arena, figures) in &figures {
                let labels = [(ARENA, &***arena)];
                let metric = family.encode_family(&labels)?;
                match total {
                    true => ConstCounter::new(read(figures)).encode(metric)?,
                    false => ConstGauge::new(read(figures)).encode(metric)?,
                }
            }
        }
        Ok(())
    }
}
