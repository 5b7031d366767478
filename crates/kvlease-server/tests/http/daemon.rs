//! A daemon of its own for every test, with its segment in a directory that goes with it.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::FileExt,
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use kvlease_api::{LeaseReply, StatsReply};
use kvlease_server::{Server, config::Config};
use kvlease_types::ByteSize;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::wire::Wire;

/// Size of the arena unless a test says otherwise.
pub(crate) const CAPACITY: ByteSize = ByteSize::mib(16);

/// How long a test waits for what has to happen before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Daemon {
    // The order of the fields is the order of their end: the segment's directory goes last.
    server: Option<Server>,
    runtime: Runtime,
    pub(crate) address: SocketAddr,
    dir: TempDir,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts a daemon whose configuration differs from the tests' defaults.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = TempDir::with_prefix_in("kvlease-test-", "/dev/shm").unwrap();
        let mut config = Config {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            capacity: Some(CAPACITY),
            shared_memory_dir: dir.path().to_owned(),
            ..Config::default()
        };
        change(&mut config);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(config)).unwrap();
        Self { address: server.address(), server: Some(server), runtime, dir }
    }

    pub(crate) fn wire(&self) -> Wire {
        Wire::open(self.address)
    }

    /// Stores an object.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        let reply = self.wire().put(&format!("/v1/kv/b/{key}"), bytes);
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// Leases an object for 30 s.
    pub(crate) fn lease(&self, key: &str) -> LeaseReply {
        let reply = self.wire().call("POST", &format!("/v1/kv/b/{key}/leases?ttl_s=30"));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    pub(crate) fn release(&self, lease: &LeaseReply) {
        let reply = self.wire().call("POST", &format!("/v1/leases/{}/release", lease.id));
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    pub(crate) fn status_of(&self, key: &str) -> u16 {
        self.wire().call("GET", &format!("/v1/kv/b/{key}")).status
    }

    pub(crate) fn stats(&self) -> StatsReply {
        self.wire().call("GET", "/v1/stats").json()
    }

    /// Waits until the daemon's state is as it has to become.
    pub(crate) fn until(&self, what: &str, reached: impl Fn(&StatsReply) -> bool) {
        self.eventually(what, || reached(&self.stats()));
    }

    pub(crate) fn eventually(&self, what: &str, reached: impl Fn() -> bool) {
        let started = Instant::now();
        while !reached() {
            assert!(started.elapsed() < PATIENCE, "{what} never came: {:?}", self.stats());
            sleep(Duration::from_millis(5));
        }
    }

    /// The whole text of `/metrics`.
    pub(crate) fn metrics(&self) -> String {
        self.wire().call("GET", "/metrics").text()
    }

    /// One series of `/metrics`, named with its labels.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no series {series} in\n{text}")).parse().unwrap()
    }

    /// The public name of the segment.
    pub(crate) fn segment(&self) -> PathBuf {
        self.dir.path().join("shared_memory")
    }

    /// The socket of the fast lane.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join(".kvlease.shared_memory.sock")
    }

    /// What a client with a lease reads in the segment.
    pub(crate) fn leased_bytes(&self, lease: &LeaseReply) -> Vec<u8> {
        let segment = fs::File::open(self.segment()).unwrap();
        let mut bytes = Vec::new();
        for extent in &lease.offsets {
            let mut piece = vec![0; extent.len as usize];
            segment.read_exact_at(&mut piece, extent.offset).unwrap();
            bytes.extend(piece);
        }
        bytes
    }

    /// Starts an orderly end. What is returned waits for it.
    pub(crate) fn begin_shutdown(&mut self) -> impl FnOnce() + use<> {
        let server = self.server.take().unwrap();
        let stopping = self.runtime.spawn(server.shutdown());
        let handle = self.runtime.handle().clone();
        move || {
            handle
                .block_on(async { tokio::time::timeout(PATIENCE, stopping).await })
                .unwrap()
                .unwrap()
        }
    }
}
