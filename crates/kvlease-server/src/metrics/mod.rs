//! Metrics for operators: counters and histograms of the requests, and at every scrape a look at
//! the catalog and the engine.

mod access;
mod arenas;
mod buckets;
mod connection;
mod curve;
mod duration_counts;
mod durations;
mod engine;
mod lane;
mod latency;
mod miss;
mod operation;
mod otlp;
mod prometheus;
mod scraped;
mod tiers;
mod tls;
mod total;
mod traffic;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use kvlease_api::{Endpoint, ErrorCode};
use kvlease_engine::Engine;
use kvlease_types::{ByteSize, Miss};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};

use access::AccessMetrics;
pub(crate) use access::{AccessRefused, LineCounters, LogCounters};
use arenas::{OtherArena, OtherArenas};
use connection::Connection;
use durations::Durations;
use lane::LaneMetrics;
pub(crate) use lane::LeaseTally;
use latency::Latencies;
pub(crate) use latency::LatencyCounts;
use miss::Misses;
pub(crate) use operation::operation;
use operation::{LatencyLabels, RequestLabels, endpoints, place};
pub(crate) use otlp::OtlpCounters;
pub(crate) use prometheus::prometheus_text;
use scraped::{Encode, Scraped};
use tls::TlsMetrics;
pub(crate) use traffic::{Timed, Traffic};

use crate::{logging::lines_dropped, quotas::QuotaMetrics};

/// The content type of the OpenMetrics format.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The content type of the text format of Prometheus.
pub(crate) const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Times for which leases were held: buckets of 100 µs to 26 min, four-fold.
type HeldTimes = Durations<100, 14>;

/// Metrics of the memory of connections.
#[derive(Clone, Default, Debug)]
pub(crate) struct MemoryMetrics {
    /// Bytes that are taken now.
    pub(crate) taken: Gauge,
    /// How often memory was not to be had.
    pub(crate) short: Counter,
}

/// All metrics of the daemon.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Of the fast lane.
    pub(crate) lane: LaneMetrics,
    /// Of listeners with TLS.
    pub(crate) tls: TlsMetrics,
    pub(crate) memory: MemoryMetrics,
    pub(crate) access: AccessMetrics,
    /// By endpoint, then by outcome: success first, then [`ErrorCode::ALL`] in its order.
    requests: Vec<Vec<Counter>>,
    /// By endpoint.
    latencies: Vec<Latencies>,
    misses: Misses,
    received: Counter,
    sent: Counter,
    held: HeldTimes,
    connections: Gauge,
    connections_full: Counter,
    answers_delayed: Counter,
    accept_failures: Counter,
    log_lines_dropped: Counter,
}

impl Metrics {
    pub(crate) fn new(
        engine: Arc<Engine>,
        connection_memory_max: ByteSize,
        (logs, quotas): (LogCounters, QuotaMetrics),
    ) -> Self {
        let mut registry = Registry::with_prefix("kvlease");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The daemon's version", build);
        logs.otlp.register(&mut registry);
        let requests = Family::<RequestLabels, Counter>::default();
        let by_outcome = |endpoint| {
            let refusals = ErrorCode::ALL.iter().copied().map(Some);
            let outcomes = std::iter::once(None).chain(refusals);
            let labels = outcomes.map(|outcome| RequestLabels::new(endpoint, outcome));
            labels.map(|labels| requests.get_or_create(&labels).clone()).collect()
        };
        let counters = endpoints().map(by_outcome).collect();
        registry.register("requests", "Requests by operation and outcome", requests);
        let latencies = Family::<LatencyLabels, Latencies>::default();
        let histogram = |endpoint| latencies.get_or_create(&LatencyLabels::new(endpoint)).clone();
        let histograms = endpoints().map(histogram).collect();
        let help = "Time from the head of a request to its answer, the body of an upload included";
        registry.register_with_unit("request_duration", help, Unit::Seconds, latencies);
        let misses = Misses::new(&mut registry);
        let mut metrics = Self {
            lane: LaneMetrics::new(&mut registry, &misses),
            tls: TlsMetrics::new(&mut registry),
            access: AccessMetrics::new(&mut registry, logs),
            requests: counters,
            latencies: histograms,
            misses,
            memory: MemoryMetrics::default(),
            received: Counter::default(),
            sent: Counter::default(),
            held: HeldTimes::default(),
            connections: Gauge::default(),
            connections_full: Counter::default(),
            answers_delayed: Counter::default(),
            accept_failures: Counter::default(),
            log_lines_dropped: Counter::default(),
            registry,
        };
        metrics.register_plain();
        metrics.register_memory(connection_memory_max);
        let scraped: [Encode; 4] = [engine::encode, curve::encode, tiers::encode, buckets::encode];
        for encode in scraped {
            let scraped = Scraped::new(Arc::clone(&engine), encode);
            metrics.registry.register_collector(Box::new(scraped));
        }
        metrics.registry.register_collector(Box::new(quotas));
        metrics
    }

    /// Metrics of another arena of the daemon, of which these are those of the first.
    pub(crate) fn of_arena(
        &self,
        engine: &Arc<Engine>,
        connection_memory_max: ByteSize,
        quotas: QuotaMetrics,
    ) -> Self {
        let (access, memory) = (self.access.clone(), self.memory.clone());
        let parts = (LogCounters::default(), quotas);
        let own = Self::new(Arc::clone(engine), connection_memory_max, parts);
        // The daemon's operators look for these at the first arena.
        Self { access, memory, ..own }
    }

    /// Shows the most important figures of these other arenas as well.
    pub(crate) fn show_arenas(&mut self, others: Vec<(Arc<str>, Arc<Engine>, Arc<Self>)>) {
        if others.is_empty() {
            return;
        }
        let others = others.into_iter().map(|(name, engine, metrics)| -> OtherArena {
            (name, Box::new(move || metrics.figures(engine.stats())))
        });
        let others = OtherArenas::new(others.collect());
        self.registry.register_collector(Box::new(others));
    }

    fn register_plain(&mut self) {
        let registry = &mut self.registry;
        let help = "Bytes of uploads taken in";
        registry.register_with_unit("received", help, Unit::Bytes, self.received.clone());
        let help = "Bytes of objects sent over HTTP";
        registry.register_with_unit("sent", help, Unit::Bytes, self.sent.clone());
        let help = "Time from the grant of a lease to its release";
        registry.register_with_unit("lease_held", help, Unit::Seconds, self.held.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        let help = "How often connections_max held a connection back";
        registry.register("connections_full", help, self.connections_full.clone());
        let help = "Answers that were given in the time of their bucket";
        registry.register("answers_delayed", help, self.answers_delayed.clone());
        let help = "How often the system refused a connection";
        registry.register("accept_failures", help, self.accept_failures.clone());
        let help = "Lines of the log that could not be written";
        registry.register("log_lines_dropped", help, self.log_lines_dropped.clone());
    }

    fn register_memory(&mut self, max: ByteSize) {
        let (registry, unit) = (&mut self.registry, Unit::Bytes);
        let help = "Memory that connections hold beside their places";
        registry.register_with_unit("connection_memory", help, unit, self.memory.taken.clone());
        let most = Gauge::<i64>::default();
        most.set(i64::try_from(max.bytes()).unwrap_or(i64::MAX));
        let help = "Hard limit of the memory of connections, their places included";
        registry.register_with_unit("connection_memory_max", help, Unit::Bytes, most);
        let help = "How often a connection could not have the memory that it wanted";
        registry.register("connection_memory_short", help, self.memory.short.clone());
    }

    pub(crate) fn answered(
        &self,
        endpoint: Option<Endpoint>,
        outcome: Option<ErrorCode>,
        took: Duration,
    ) {
        self.counter(endpoint, outcome).inc();
        self.latencies[place(endpoint)].observe_one(took);
    }

    fn counter(&self, endpoint: Option<Endpoint>, outcome: Option<ErrorCode>) -> &Counter {
        let outcome = outcome.map_or(0, |code| 1 + code.index());
        &self.requests[place(endpoint)][outcome]
    }

    /// Leases granted to clients.
    fn hits(&self) -> u64 {
        self.acquires(None) + self.lane.hits()
    }

    /// Leases refused since no such object was there.
    fn misses(&self) -> u64 {
        self.acquires(Some(ErrorCode::NotFound))
            + self.acquires(Some(ErrorCode::StillWriting))
            + self.lane.misses()
    }

    fn acquires(&self, outcome: Option<ErrorCode>) -> u64 {
        self.counter(Some(Endpoint::Acquire), outcome).get()
    }

    /// Counts a lease that was not granted.
    pub(crate) fn missed(&self, miss: Miss) {
        self.misses.add(miss, 1);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.inc_by(bytes);
    }

    /// Counts how long leases were held that were live.
    pub(crate) fn released(&self, held: &[Option<Duration>]) {
        self.held.observe(held.iter().flatten().copied());
    }

    /// Counts an answer that is given in its bucket's time.
    pub(crate) fn delayed(&self) {
        self.answers_delayed.inc();
    }

    pub(crate) fn connections_full(&self) {
        self.connections_full.inc();
    }

    pub(crate) fn accept_failed(&self) {
        self.accept_failures.inc();
    }

    /// Connections that are open, over HTTP and over the fast lane.
    pub(crate) fn places(&self) -> u64 {
        u64::try_from(self.connections.get() + self.lane.open()).unwrap_or(0)
    }

    /// Counts a connection for as long as the answer lives.
    pub(crate) fn connection(&self) -> Connection {
        Connection::count(&self.connections)
    }

    /// All metrics in the OpenMetrics format.
    pub(crate) fn encode(&self) -> String {
        // The log is the process's, and counts by itself.
        self.log_lines_dropped.inner().store(lines_dropped(), Relaxed);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}
