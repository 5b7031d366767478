//! What operators can see: counters and histograms of the requests, and at every scrape a look
//! at the catalog and the engine.

mod engine;
mod lane;
mod miss;
mod operation;

use std::{sync::Arc, time::Duration};

use kvlease_api::ErrorCode;
use kvlease_engine::{Engine, LeaseRefused};
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};

use engine::EngineCollector;
use lane::LaneMetrics;
use miss::MissLabels;
pub(crate) use operation::Operation;
use operation::{LatencyLabels, OPERATIONS, RequestLabels};

/// The content type of the text format that is served.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the latency buckets: 25 µs to 26 s, four-fold.
const LATENCY_BUCKETS: (f64, f64, u16) = (25e-6, 4.0, 11);

/// Upper bounds of the buckets of lease times: 100 µs to 26 min, four-fold.
const HELD_BUCKETS: (f64, f64, u16) = (100e-6, 4.0, 13);

/// All metrics of the daemon.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Of the fast lane.
    pub(crate) lane: LaneMetrics,
    /// By operation, then by outcome: success first, then [`ErrorCode::ALL`] in its order.
    requests: Vec<Vec<Counter>>,
    /// By operation.
    latencies: Vec<Histogram>,
    misses: Family<MissLabels, Counter>,
    received: Counter,
    sent: Counter,
    held: Histogram,
    connections: Gauge,
    connections_full: Counter,
    accept_failures: Counter,
}

impl Metrics {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let mut registry = Registry::with_prefix("kvlease");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The daemon's version", build);
        let requests = Family::<RequestLabels, Counter>::default();
        let by_operation = |operation: &Operation| {
            let success = RequestLabels::new(*operation, None);
            let refusals = ErrorCode::ALL.map(|code| RequestLabels::new(*operation, Some(code)));
            let labels = std::iter::once(success).chain(refusals);
            labels.map(|labels| requests.get_or_create(&labels).clone()).collect()
        };
        let counters = OPERATIONS.iter().map(by_operation).collect();
        registry.register("requests", "Requests by operation and outcome", requests);
        let latencies =
            Family::<LatencyLabels, Histogram, fn() -> Histogram>::new_with_constructor(|| {
                let (start, factor, count) = LATENCY_BUCKETS;
                Histogram::new(exponential_buckets(start, factor, count))
            });
        let histogram =
            |operation: &Operation| latencies.get_or_create(&(*operation).into()).clone();
        let histograms = OPERATIONS.iter().map(histogram).collect();
        let help = "Time from the head of a request to its answer, the body of an upload included";
        registry.register_with_unit("request_duration", help, Unit::Seconds, latencies);
        let (start, factor, count) = HELD_BUCKETS;
        let misses = miss::family();
        let mut metrics = Self {
            lane: LaneMetrics::new(&mut registry, &misses),
            requests: counters,
            latencies: histograms,
            misses,
            received: Counter::default(),
            sent: Counter::default(),
            held: Histogram::new(exponential_buckets(start, factor, count)),
            connections: Gauge::default(),
            connections_full: Counter::default(),
            accept_failures: Counter::default(),
            registry,
        };
        metrics.register_plain();
        metrics.registry.register_collector(Box::new(EngineCollector::new(engine)));
        metrics
    }

    fn register_plain(&mut self) {
        let registry = &mut self.registry;
        let help = "Leases not granted, by reason";
        registry.register("misses", help, self.misses.clone());
        let help = "Bytes of uploads taken in";
        registry.register_with_unit("received", help, Unit::Bytes, self.received.clone());
        let help = "Bytes of objects sent over HTTP";
        registry.register_with_unit("sent", help, Unit::Bytes, self.sent.clone());
        let help = "Time from the grant of a lease to its release";
        registry.register_with_unit("lease_held", help, Unit::Seconds, self.held.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        let help = "How often connections_max held a connection back";
        registry.register("connections_full", help, self.connections_full.clone());
        let help = "How often the system refused a connection";
        registry.register("accept_failures", help, self.accept_failures.clone());
    }

    pub(crate) fn answered(
        &self,
        operation: Operation,
        outcome: Option<ErrorCode>,
        took: Duration,
    ) {
        self.counter(operation, outcome).inc();
        self.latencies[operation as usize].observe(took.as_secs_f64());
    }

    fn counter(&self, operation: Operation, outcome: Option<ErrorCode>) -> &Counter {
        let place = outcome.map_or(0, |code| 1 + code as usize);
        &self.requests[operation as usize][place]
    }

    /// Leases granted to clients.
    pub(crate) fn hits(&self) -> u64 {
        self.counter(Operation::Lease, None).get() + self.lane.hits()
    }

    /// Leases refused since no such object was there.
    pub(crate) fn misses(&self) -> u64 {
        self.counter(Operation::Lease, Some(ErrorCode::NotFound)).get()
            + self.counter(Operation::Lease, Some(ErrorCode::StillWriting)).get()
            + self.lane.misses()
    }

    /// Counts a lease that was not granted.
    pub(crate) fn missed(&self, refused: LeaseRefused) {
        self.misses.get_or_create(&refused.into()).inc();
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.inc_by(bytes);
    }

    pub(crate) fn released(&self, held: Duration) {
        self.held.observe(held.as_secs_f64());
    }

    pub(crate) fn connections_full(&self) {
        self.connections_full.inc();
    }

    pub(crate) fn accept_failed(&self) {
        self.accept_failures.inc();
    }

    /// Counts a connection for as long as the answer lives.
    pub(crate) fn connection(&self) -> Connection {
        Connection::count(&self.connections)
    }

    /// All metrics in the text format.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

/// An open connection.
pub(crate) struct Connection(Gauge);

impl Connection {
    fn count(open: &Gauge) -> Self {
        open.inc();
        Self(open.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
