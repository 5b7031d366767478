//! A daemon with the three calls that every daemon of the protocol knows, put, lease and release,
//! over a real socket, with a real segment file in a temporary directory. It does what a test tells
//! it to: expire, lie, go away, come back with another segment.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fs,
    io::{Seek, SeekFrom, Write},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kvlease_connector::{Connector, ConnectorConfig};
use kvlease_http::{ClientConfig, Timeouts};
use kvlease_sys::Digest;
use kvlease_testing::free_port;
use kvlease_types::Key;
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The length of the segment.
pub(crate) const SEGMENT_LEN: u64 = 32 << 20;
pub(crate) const SEGMENT: &str = "segment";

/// How long a test waits for what must come, and how often it looks.
const WAIT_TRIES: usize = 20_000;
const WAIT_INTERVAL: Duration = Duration::from_millis(5);

type LeaseRule = dyn Fn(&Grant) -> Reply + Send + Sync;
type Reply = Option<Response<Full<Bytes>>>;

/// Lease that the fake is about to grant.
pub(crate) struct Grant {
    /// How many leases were granted before this one.
    pub(crate) number: usize,
    pub(crate) id: String,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// The fake daemon. Its tasks end with the runtime of its test.
#[derive(Clone)]
pub(crate) struct Fake {
    shared: Arc<Shared>,
    address: String,
}

struct Shared {
    dir: TempDir,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where each key's object is: offset and length.
    objects: BTreeMap<String, (u64, u64)>,
    end: u64,
    granted: usize,
    leased: BTreeSet<String>,
    rule: Option<Arc<LeaseRule>>,
    refuses_releases: bool,
    latency: Duration,
    /// Once as many leases were granted, answers wait until as many requests were there at a time.
    held: (usize, usize),
    asked: Vec<String>,
    running: usize,
    running_most: usize,
    connections: usize,
    serving: Option<JoinSet<()>>,
}

impl Fake {
    /// Starts it on a free port, with an empty segment.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::File::create(dir.path().join(SEGMENT)).unwrap().set_len(SEGMENT_LEN).unwrap();
        // No connection gets the port while it is down.
        let listener = TcpListener::bind(("127.0.0.1", free_port())).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let fake = Self { shared: Arc::new(Shared { dir, state: Mutex::default() }), address };
        fake.serve(listener);
        fake
    }

    fn serve(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().connections += 1;
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        self.shared.lock().serving = Some(serving);
    }

    /// Ends it, with all its connections, as a crash does.
    pub(crate) async fn stop(&self) {
        let serving = self.shared.lock().serving.take();
        if let Some(mut serving) = serving {
            serving.shutdown().await;
        }
        let mut state = self.shared.lock();
        state.objects.clear();
        state.leased.clear();
        (state.end, state.running) = (0, 0);
    }

    /// Starts it again on the same port.
    pub(crate) async fn start_again(&self) {
        for _ in 0..WAIT_TRIES {
            if let Ok(listener) = TcpListener::bind(&self.address).await {
                return self.serve(listener);
            }
            tokio::time::sleep(WAIT_INTERVAL).await;
        }
        panic!("the port stays taken");
    }

    /// Settings of a connector for it, with shared memory.
    pub(crate) fn config(&self) -> ConnectorConfig {
        let mut config = ClientConfig::new(self.address.parse().unwrap());
        // No test reaches these, however long its machine is held up.
        let long = Duration::from_secs(120);
        config.timeouts = Timeouts { connect: long, call: long, transfer: long, stall: long };
        config.shared_memory_name = Some(SEGMENT.parse().unwrap());
        config.shared_memory_dir = self.shared.dir.path().to_owned();
        ConnectorConfig::new(config)
    }

    pub(crate) fn connector(&self) -> Connector {
        Connector::new(self.config())
    }

    /// Where the segment is.
    pub(crate) fn segment(&self) -> PathBuf {
        self.shared.dir.path().join(SEGMENT)
    }

    /// Puts another file in the place of the segment, with these bytes at its start.
    pub(crate) fn replace_segment(&self, bytes: &[u8]) {
        let new = self.shared.dir.path().join("new");
        let mut file = fs::File::create(&new).unwrap();
        file.set_len(SEGMENT_LEN).unwrap();
        file.write_all(bytes).unwrap();
        fs::rename(new, self.segment()).unwrap();
    }

    /// Stores an object behind the clients' backs.
    pub(crate) fn store(&self, key: &Key, bytes: &[u8]) {
        self.shared.store(key.as_str(), bytes);
    }

    /// Answers leases for objects that are there with what `rule` makes of them; its `None` is
    /// the usual answer.
    pub(crate) fn on_lease(&self, rule: impl Fn(&Grant) -> Reply + Send + Sync + 'static) {
        self.shared.lock().rule = Some(Arc::new(rule));
    }

    /// Refuses all releases from now on, or takes them again.
    pub(crate) fn refuse_releases(&self, refuse: bool) {
        self.shared.lock().refuses_releases = refuse;
    }

    /// Waits this long before each answer.
    pub(crate) fn set_latency(&self, latency: Duration) {
        self.shared.lock().latency = latency;
    }

    /// Once as many leases were granted, answers no request before as many were there at a time.
    pub(crate) fn hold(&self, granted: usize, running: usize) {
        self.shared.lock().held = (granted, running);
    }

    /// How often something that contains this was asked.
    pub(crate) fn count(&self, pattern: &str) -> usize {
        self.shared.lock().asked.iter().filter(|line| line.contains(pattern)).count()
    }

    /// The most requests that there were at a time.
    pub(crate) fn running_most(&self) -> usize {
        self.shared.lock().running_most
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// How many leases live.
    pub(crate) fn leases(&self) -> usize {
        self.shared.lock().leased.len()
    }

    /// Waits until every lease was released.
    pub(crate) async fn all_released(&self) {
        self.wait("all leases are released", || self.leases() == 0).await;
    }

    /// Waits until something holds.
    pub(crate) async fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..WAIT_TRIES {
            if holds() {
                return;
            }
            tokio::time::sleep(WAIT_INTERVAL).await;
        }
        panic!("never came: {what}");
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, key: &str, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        if state.objects.contains_key(key) {
            return false;
        }
        let offset = state.end;
        state.end += bytes.len() as u64;
        assert!(state.end <= SEGMENT_LEN, "the fake's segment is large enough for the test");
        state.objects.insert(key.to_owned(), (offset, bytes.len() as u64));
        let mut file = fs::File::options().write(true).open(self.dir.path().join(SEGMENT)).unwrap();
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(bytes).unwrap();
        true
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let line = format!("{} {}", request.method(), request.uri());
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let body = request.into_body().collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let latency = {
            let mut state = self.lock();
            state.asked.push(line);
            state.running += 1;
            state.running_most = state.running_most.max(state.running);
            state.latency
        };
        tokio::time::sleep(latency).await;
        let is_held = || {
            let state = self.lock();
            let (granted, running) = state.held;
            state.granted >= granted && state.running_most < running
        };
        while is_held() {
            tokio::time::sleep(WAIT_INTERVAL).await;
        }
        let answer = self.route(&method, &path, &body);
        let running = &mut self.lock().running;
        *running = running.saturating_sub(1);
        answer
    }

    fn route(&self, method: &Method, path: &str, body: &[u8]) -> Response<Full<Bytes>> {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (method, parts.as_slice()) {
            (&Method::PUT, ["v1", "kv", _, key]) => match self.store(key, body) {
                true => reply(200, ""),
                false => reply(409, ""),
            },
            (&Method::POST, ["v1", "kv", _, key, "leases"]) => self.lease(key),
            (&Method::POST, ["v1", "leases", id, "release"]) => {
                let mut state = self.lock();
                if state.refuses_releases {
                    return reply(503, "");
                }
                state.leased.remove(*id);
                reply(200, "")
            }
            _ => reply(404, ""),
        }
    }

    fn lease(&self, key: &str) -> Response<Full<Bytes>> {
        let mut state = self.lock();
        let Some((offset, len)) = state.objects.get(key).copied() else { return reply(404, "") };
        let number = state.granted;
        state.granted += 1;
        let grant = Grant { number, id: format!("lease-{number}-{key}"), offset, len };
        state.leased.insert(grant.id.clone());
        let rule = state.rule.clone();
        drop(state);
        rule.and_then(|rule| rule(&grant)).unwrap_or_else(|| grant.usual(""))
    }
}

impl Grant {
    /// The answer, with more fields: a comma and what follows.
    pub(crate) fn usual(&self, more: &str) -> Response<Full<Bytes>> {
        let Self { id, offset, len, .. } = self;
        // Two extents, the first of them short, so that nothing works by luck.
        let first = (*len).min(7);
        let (second, rest) = (offset + first, len - first);
        let offsets = match rest {
            0 => format!(r#"{{"offset":{offset},"len":{first}}}"#),
            _ => {
                format!(r#"{{"offset":{offset},"len":{first}}},{{"offset":{second},"len":{rest}}}"#)
            }
        };
        lease(&format!(r#"{{"id":"{id}","offsets":[{offsets}]{more}}}"#))
    }

    /// The answer of a daemon that says more: whose it is, and the checksum of these bytes.
    pub(crate) fn summed(&self, bytes: &[u8]) -> Response<Full<Bytes>> {
        let checksum = Digest::of(bytes);
        self.usual(&format!(r#","checksum":"{checksum}","epoch":"0123456789abcdef""#))
    }
}

/// A reply to a request for a lease.
pub(crate) fn lease(body: &str) -> Response<Full<Bytes>> {
    let json = Response::builder().header("content-type", "application/json");
    json.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

/// A reply with this status and body.
pub(crate) fn reply(status: u16, body: &str) -> Response<Full<Bytes>> {
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    Response::builder().status(status).body(body).unwrap()
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });
    // A client that goes away is no failure of the fake.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
