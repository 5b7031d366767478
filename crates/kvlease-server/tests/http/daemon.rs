//! In-process daemon for one test, with its segment in a directory of its own.
//!
//! Its configuration is a value, and it starts within milliseconds. Daemons as processes come from
//! `kvlease-harness`, as do the calls that this one answers.

use std::{fs, net::SocketAddr, os::unix::fs::FileExt, path::PathBuf, time::Duration};

use kvlease_api::{LeaseReply, StatsReply};
use kvlease_harness::{Endpoint, SHM_DIR, until, wire::Wire};
use kvlease_server::{Server, config::Config};
use kvlease_types::ByteSize;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Size of the arena unless a test sets another one.
pub(crate) const CAPACITY: ByteSize = ByteSize::mib(16);

/// Limit of a wait, after which the test fails: longer than any machine is held up.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Daemon {
    // Fields are dropped in this order: the segment's directory goes last.
    server: Option<Server>,
    runtime: Runtime,
    pub(crate) address: SocketAddr,
    dir: TempDir,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts a daemon with a changed configuration.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = TempDir::with_prefix_in("kvlease-test-", SHM_DIR).unwrap();
        let mut config = Config {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            capacity: Some(CAPACITY),
            shared_memory_dir: dir.path().to_owned(),
            // As short as tests write it.
            host_names: vec!["d".to_owned(), "daemon".to_owned()],
            ..Config::default()
        };
        change(&mut config);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(config)).unwrap();
        Self { address: server.address(), server: Some(server), runtime, dir }
    }

    /// Address of a listener beside the first.
    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        self.server.as_ref().unwrap().listener_address(name).unwrap()
    }

    pub(crate) fn wire(&self) -> Wire {
        Wire::open(self.address)
    }

    /// Connection of a client that takes little at a time.
    pub(crate) fn slow_wire(&self) -> Wire {
        Wire::open_with_small_window(self.address)
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
        self.endpoint().stats().unwrap()
    }

    /// Waits for a state of the daemon.
    pub(crate) fn until(&self, what: &str, reached: impl Fn(&StatsReply) -> bool) {
        self.eventually(what, || reached(&self.stats()));
    }

    pub(crate) fn eventually(&self, what: &str, reached: impl Fn() -> bool) {
        let came = until(WAIT_MAX, || reached().then_some(()));
        assert!(came.is_some(), "{what} never came: {:?}", self.stats());
    }

    /// Text of `/metrics`.
    pub(crate) fn metrics(&self) -> String {
        self.endpoint().metrics().unwrap()
    }

    /// Value of one series of `/metrics`, which is named with its labels.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        self.endpoint().metric(series).unwrap()
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::at(self.address)
    }

    /// Addresses of subscribers to KV events, and of requests for what they missed.
    pub(crate) fn events_addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        self.server.as_ref().unwrap().events_addresses()
    }

    /// Public file of the segment.
    pub(crate) fn segment(&self) -> PathBuf {
        self.dir.path().join("shared_memory")
    }

    /// Socket of the fast lane.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join(".kvlane.shared_memory").join("sock")
    }

    /// Public file of the segment of another arena.
    pub(crate) fn segment_of(&self, arena: &str) -> PathBuf {
        self.dir.path().join(format!("shared_memory-{arena}"))
    }

    /// Socket of the fast lane of another arena.
    pub(crate) fn socket_of(&self, arena: &str) -> PathBuf {
        self.server.as_ref().unwrap().socket_of_arena(arena).unwrap().to_owned()
    }

    /// Bytes of the segment that a client with this lease reads.
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

    /// Starts a graceful shutdown. The returned function waits for its end.
    pub(crate) fn begin_shutdown(&mut self) -> impl FnOnce() + use<> {
        let server = self.server.take().unwrap();
        let stopping = self.runtime.spawn(server.shutdown());
        let handle = self.runtime.handle().clone();
        move || {
            handle
                .block_on(async { tokio::time::timeout(WAIT_MAX, stopping).await })
                .unwrap()
                .unwrap()
        }
    }
}
