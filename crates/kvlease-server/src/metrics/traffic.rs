//! Requests at one moment, over HTTP and the fast lane, for the history and the status page.

use kvlease_api::{Endpoint, lane::Kind};
use kvlease_engine::EngineStats;
use kvlease_types::Miss;

use super::{LatencyCounts, Metrics, arenas::ArenaFigures, operation::place};

/// Requests whose times to an answer are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timed {
    /// For leases, over HTTP and the fast lane.
    Lease,
    /// For an object over HTTP.
    Get,
    /// Uploads over HTTP, and commits of what was written over the fast lane.
    Put,
}

/// Totals since the start, and the connections that are open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// Leases granted.
    pub(crate) hits: u64,
    /// Leases refused since the object was absent or late.
    pub(crate) misses: u64,
    /// Leases refused, by the place of the reason.
    pub(crate) misses_by_reason: [u64; Miss::ALL.len()],
    /// Bytes of uploads over HTTP.
    pub(crate) received: u64,
    /// Bytes of objects sent over HTTP.
    pub(crate) sent: u64,
    /// Bytes that clients of the fast lane wrote into the arena.
    pub(crate) written: u64,
    /// Connections of HTTP.
    pub(crate) connections: u64,
    /// Connections of the fast lane.
    pub(crate) lane_connections: u64,
    /// Times to an answer, by the place of [`Timed`].
    pub(crate) latencies: [LatencyCounts; Timed::ALL.len()],
}

impl Timed {
    /// All of them, by their places.
    pub(crate) const ALL: [Self; 3] = [Self::Lease, Self::Get, Self::Put];

    /// The word for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Get => "get",
            Self::Put => "put",
        }
    }

    /// Endpoints and kinds of frames that are counted.
    const fn parts(self) -> (Endpoint, &'static [Kind]) {
        match self {
            Self::Lease => (Endpoint::Acquire, &[Kind::Acquire]),
            Self::Get => (Endpoint::Get, &[]),
            Self::Put => (Endpoint::Put, &[Kind::Commit, Kind::Store]),
        }
    }
}

impl Metrics {
    /// The requests until now.
    pub(crate) fn traffic(&self) -> Traffic {
        let count = |gauge: i64| u64::try_from(gauge).unwrap_or(0);
        Traffic {
            hits: self.hits(),
            misses: self.misses(),
            misses_by_reason: self.misses.counts(),
            received: self.received.get(),
            sent: self.sent.get(),
            written: self.lane.written_bytes(),
            connections: count(self.connections.get()),
            lane_connections: count(self.lane.open()),
            latencies: Timed::ALL.map(|timed| self.latencies_of(timed)),
        }
    }

    /// Figures of the arena whose engine has these.
    pub(super) fn figures(&self, engine: EngineStats) -> ArenaFigures {
        let Traffic { hits, misses, lane_connections, received, sent, written, .. } =
            self.traffic();
        let hits = hits + engine.counters.index_reads;
        ArenaFigures { engine, hits, misses, lane_connections, received, sent, written }
    }

    fn latencies_of(&self, timed: Timed) -> LatencyCounts {
        let (endpoint, kinds) = timed.parts();
        let over_http = self.latencies[place(Some(endpoint))].counts();
        let over_lane = kinds.iter().map(|kind| self.lane.latencies(*kind));
        over_lane.fold(over_http, LatencyCounts::plus)
    }
}
