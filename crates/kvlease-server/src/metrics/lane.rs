//! Metrics of the fast lane.

use std::time::Duration;

use kvlease_api::lane::{DoneStatus, FailureCode, Kind, ReserveStatus};
use kvlease_types::Miss;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{
    connection::Connection,
    latency::{Latencies, LatencyCounts},
    miss::Misses,
};

/// How many keys of an acquire got which outcome.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct LeaseTally {
    granted: u64,
    missed: [u64; Miss::ALL.len()],
}

impl LeaseTally {
    pub(crate) fn grant(&mut self) {
        self.granted += 1;
    }

    pub(crate) fn miss(&mut self, miss: Miss) {
        self.missed[miss.index()] += 1;
    }
}

/// Labels of a count of frames.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    kind: String,
    outcome: &'static str,
}

/// Labels of the time of frames.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct LatencyLabels {
    kind: String,
}

/// Labels of a count of items.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ItemLabels {
    kind: String,
    status: &'static str,
}

/// The counters of one kind of request.
#[derive(Debug)]
struct OfKind {
    /// Success first, then [`FailureCode::ALL`] in its order.
    requests: Vec<Counter>,
    latency: Latencies,
    /// In the order of [`item_names`].
    items: Vec<Counter>,
}

/// The metrics of the fast lane.
#[derive(Debug)]
pub(crate) struct LaneMetrics {
    /// By the place of the kind, see [`place`].
    kinds: Vec<OfKind>,
    misses: Misses,
    connections: Gauge,
    peers_refused: Counter,
    written: Counter,
}

impl LaneMetrics {
    pub(super) fn new(registry: &mut Registry, misses: &Misses) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let latencies = Family::<LatencyLabels, Latencies>::default();
        let items = Family::<ItemLabels, Counter>::default();
        let of_kind = |kind: Option<Kind>| {
            let name = kind.map_or("unknown", Kind::name).to_ascii_lowercase();
            let codes = FailureCode::ALL.iter().map(|code| code.name());
            let request = |outcome| {
                let labels = RequestLabels { kind: name.clone(), outcome };
                requests.get_or_create(&labels).clone()
            };
            let item =
                |status| items.get_or_create(&ItemLabels { kind: name.clone(), status }).clone();
            OfKind {
                requests: std::iter::once("ok").chain(codes).map(request).collect(),
                latency: latencies.get_or_create(&LatencyLabels { kind: name.clone() }).clone(),
                items: item_names(kind).into_iter().map(item).collect(),
            }
        };
        let kinds = requests_and_unknown().map(of_kind).collect();
        let metrics = Self {
            kinds,
            misses: misses.clone(),
            connections: Gauge::default(),
            peers_refused: Counter::default(),
            written: Counter::default(),
        };
        let help = "Frames of the fast lane by kind and outcome";
        registry.register("lane_requests", help, requests);
        let help = "Time from a frame of the fast lane to its answer, its wait included";
        registry.register_with_unit("lane_request_duration", help, Unit::Seconds, latencies);
        let help = "Keys, leases and reservations that frames named, by kind and status";
        registry.register("lane_items", help, items);
        let help = "Open connections of the fast lane";
        registry.register("lane_connections", help, metrics.connections.clone());
        let help = "Clients that may not use the socket of the fast lane";
        registry.register("lane_peers_refused", help, metrics.peers_refused.clone());
        let help = "Bytes that clients wrote into the arena by themselves";
        registry.register_with_unit("lane_written", help, Unit::Bytes, metrics.written.clone());
        metrics
    }

    /// Counts a frame of a client, and the time to its answer.
    pub(crate) fn answered(
        &self,
        kind: Option<Kind>,
        outcome: Option<FailureCode>,
        took: Duration,
    ) {
        let of_kind = &self.kinds[place(kind)];
        // The codes are numbered from 1.
        of_kind.requests[outcome.map_or(0, |code| usize::from(code.number()))].inc();
        of_kind.latency.observe_one(took);
    }

    /// Counts the keys of an acquire.
    pub(crate) fn acquired(&self, tally: &LeaseTally) {
        let items = &self.kinds[place(Some(Kind::Acquire))].items;
        items[GRANTED].inc_by(tally.granted);
        for (miss, count) in Miss::ALL.iter().zip(tally.missed).filter(|(_, count)| *count > 0) {
            items[1 + miss.index()].inc_by(count);
            self.misses.add(*miss, count);
        }
    }

    /// Counts what a frame named: how many items got each status, by its number.
    pub(crate) fn items(&self, kind: Kind, counts: &[u64]) {
        let items = self.kinds[place(Some(kind))].items.iter().zip(counts);
        items.filter(|(_, count)| **count > 0).for_each(|(item, count)| {
            item.inc_by(*count);
        });
    }

    /// Keys leased to clients.
    pub(super) fn hits(&self) -> u64 {
        self.kinds[place(Some(Kind::Acquire))].items[GRANTED].get()
    }

    /// Keys not leased since no such object was there.
    pub(super) fn misses(&self) -> u64 {
        let counts = &self.kinds[place(Some(Kind::Acquire))].items[1..];
        let absent = |miss: &Miss| miss.is_absence() || miss.is_late();
        let counted = Miss::ALL.iter().zip(counts).filter(|(miss, _)| absent(miss));
        counted.map(|(_, count)| count.get()).sum()
    }

    pub(crate) fn written(&self, bytes: u64) {
        self.written.inc_by(bytes);
    }

    pub(crate) fn peer_refused(&self) {
        self.peers_refused.inc();
    }

    /// Counts a connection for as long as the answer lives.
    pub(crate) fn connection(&self) -> Connection {
        Connection::count(&self.connections)
    }

    /// Bytes that clients wrote into the arena.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written.get()
    }

    /// Times to the answers of one kind of frames.
    pub(super) fn latencies(&self, kind: Kind) -> LatencyCounts {
        self.kinds[place(Some(kind))].latency.counts()
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> i64 {
        self.connections.get()
    }
}

/// Place of the granted keys among the items of an acquire; the misses follow by their places.
const GRANTED: usize = 0;

/// The kinds of requests in their order, and behind them what is none of them.
fn requests_and_unknown() -> impl Iterator<Item = Option<Kind>> {
    Kind::ALL.iter().copied().filter(|kind| kind.is_request()).map(Some).chain([None])
}

/// Place of a kind among [`requests_and_unknown`]; an answer is no request.
fn place(kind: Option<Kind>) -> usize {
    let kind = kind.filter(|kind| kind.is_request());
    requests_and_unknown().position(|known| known == kind).expect("every request is listed")
}

/// The statuses that items of a request can have: for an acquire the outcomes, for all others by
/// their numbers on the wire.
fn item_names(kind: Option<Kind>) -> Vec<&'static str> {
    let Some(kind) = kind else { return Vec::new() };
    match kind {
        Kind::Acquire => {
            let misses = Miss::ALL.iter().map(|miss| miss.name());
            std::iter::once("granted").chain(misses).collect()
        }
        Kind::Reserve | Kind::Prepare => {
            ReserveStatus::ALL.iter().map(|status| status.name()).collect()
        }
        Kind::Release
        | Kind::Renew
        | Kind::Exists
        | Kind::Remove
        | Kind::Commit
        | Kind::Abort
        | Kind::Used
        | Kind::Store => DoneStatus::ALL.iter().map(|status| status.name()).collect(),
        Kind::Hello
        | Kind::Index
        | Kind::Welcome
        | Kind::Leases
        | Kind::Done
        | Kind::Renewed
        | Kind::Reservations
        | Kind::Indexed
        | Kind::Error => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_the_numbers_of_the_format() {
        let places = requests_and_unknown().enumerate();
        places.for_each(|(index, kind)| assert_eq!(place(kind), index));
        assert_eq!(place(Some(Kind::Done)), place(None), "an answer is no request");
        for (index, code) in FailureCode::ALL.iter().enumerate() {
            assert_eq!(usize::from(code.number()), index + 1);
        }
        let numbers = |numbers: &mut dyn Iterator<Item = u8>| {
            assert!(numbers.enumerate().all(|(index, number)| index == usize::from(number)));
        };
        numbers(&mut ReserveStatus::ALL.iter().map(|status| status.number()));
        numbers(&mut DoneStatus::ALL.iter().map(|status| status.number()));
    }
}
