//! What is counted of the fast lane.

use std::time::Duration;

use kvlease_api::lane::{DoneStatus, FailureCode, Kind, LeaseStatus, ReserveStatus};
use kvlease_engine::LeaseRefused;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::{Connection, LATENCY_BUCKETS, miss::MissLabels};

/// The requests of the fast lane, in the order of their numbers, which begin at 1.
const KINDS: [Kind; 9] = [
    Kind::Hello,
    Kind::Acquire,
    Kind::Release,
    Kind::Renew,
    Kind::Exists,
    Kind::Remove,
    Kind::Reserve,
    Kind::Commit,
    Kind::Abort,
];

/// What a request is counted under.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    kind: String,
    outcome: &'static str,
}

/// What the time of a request is counted under.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct LatencyLabels {
    kind: String,
}

/// What an item of a request is counted under.
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
    latency: Histogram,
    /// By the number of the status.
    items: Vec<Counter>,
}

/// The metrics of the fast lane.
#[derive(Debug)]
pub(crate) struct LaneMetrics {
    /// By kind, in the order of [`KINDS`]; behind them, what is none of them.
    kinds: Vec<OfKind>,
    /// By the number of the [`LeaseStatus`]; none for a grant.
    misses: Vec<Option<Counter>>,
    connections: Gauge,
    peers_refused: Counter,
    written: Counter,
}

impl LaneMetrics {
    pub(super) fn new(registry: &mut Registry, misses: &Family<MissLabels, Counter>) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let latencies =
            Family::<LatencyLabels, Histogram, fn() -> Histogram>::new_with_constructor(|| {
                let (start, factor, count) = LATENCY_BUCKETS;
                Histogram::new(exponential_buckets(start, factor, count))
            });
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
                items: statuses(kind).into_iter().map(item).collect(),
            }
        };
        let kinds = KINDS.into_iter().map(Some).chain([None]).map(of_kind).collect();
        let of_status = |status: &LeaseStatus| {
            refusal(*status).map(|refused| misses.get_or_create(&refused.into()).clone())
        };
        let metrics = Self {
            kinds,
            misses: LeaseStatus::ALL.iter().map(of_status).collect(),
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
        of_kind.latency.observe(took.as_secs_f64());
    }

    /// Counts what a frame named: how many items got each status, by its number.
    pub(crate) fn items(&self, kind: Kind, counts: &[u64]) {
        let counted = |(number, count): (usize, &u64)| (*count > 0).then_some((number, *count));
        for (number, count) in counts.iter().enumerate().filter_map(counted) {
            self.kinds[place(Some(kind))].items[number].inc_by(count);
            if kind == Kind::Acquire
                && let Some(misses) = &self.misses[number]
            {
                misses.inc_by(count);
            }
        }
    }

    /// Keys leased to clients.
    pub(super) fn hits(&self) -> u64 {
        self.leases(LeaseStatus::Granted)
    }

    /// Keys not leased since no such object was there.
    pub(super) fn misses(&self) -> u64 {
        [LeaseStatus::Absent, LeaseStatus::Evicted, LeaseStatus::StillWriting]
            .map(|status| self.leases(status))
            .iter()
            .sum()
    }

    fn leases(&self, status: LeaseStatus) -> u64 {
        self.kinds[place(Some(Kind::Acquire))].items[usize::from(status.number())].get()
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
}

fn place(kind: Option<Kind>) -> usize {
    kind.and_then(|kind| KINDS.iter().position(|known| *known == kind)).unwrap_or(KINDS.len())
}

/// The statuses that items of a request can have, in the order of their numbers.
fn statuses(kind: Option<Kind>) -> Vec<&'static str> {
    match kind {
        None | Some(Kind::Hello) => Vec::new(),
        Some(Kind::Acquire) => LeaseStatus::ALL.iter().map(|status| status.name()).collect(),
        Some(Kind::Reserve) => ReserveStatus::ALL.iter().map(|status| status.name()).collect(),
        Some(_) => DoneStatus::ALL.iter().map(|status| status.name()).collect(),
    }
}

/// The refusal that a key's status is counted as.
fn refusal(status: LeaseStatus) -> Option<LeaseRefused> {
    match status {
        LeaseStatus::Granted => None,
        LeaseStatus::Absent => Some(LeaseRefused::Absent { evicted: false }),
        LeaseStatus::Evicted => Some(LeaseRefused::Absent { evicted: true }),
        LeaseStatus::StillWriting => Some(LeaseRefused::StillWriting { waited: Duration::ZERO }),
        LeaseStatus::TooManyLeases => Some(LeaseRefused::TooManyLeases),
        LeaseStatus::MemoryShort => Some(LeaseRefused::MemoryShort),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_the_numbers_of_the_format() {
        for (index, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(usize::from(kind.number()), index + 1);
            assert_eq!(place(Some(kind)), index);
        }
        for (index, code) in FailureCode::ALL.iter().enumerate() {
            assert_eq!(usize::from(code.number()), index + 1);
        }
        let numbers = |numbers: &mut dyn Iterator<Item = u8>| {
            assert!(numbers.enumerate().all(|(index, number)| index == usize::from(number)));
        };
        numbers(&mut LeaseStatus::ALL.iter().map(|status| status.number()));
        numbers(&mut ReserveStatus::ALL.iter().map(|status| status.number()));
        numbers(&mut DoneStatus::ALL.iter().map(|status| status.number()));
    }
}
