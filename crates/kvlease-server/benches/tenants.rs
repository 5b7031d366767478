//! Latency of one tenant's hits while another one stores at full speed: `cargo bench -p kvlease-server --bench
//! tenants`.
//!
//! Turns follow each other: without the other tenant, with it at a second daemon on the same machine, with it at the same
//! daemon, and with both at a daemon without tenants. So what the machine's processors and memory cost is told apart from
//! what the daemon costs: with as many free processors as clients the former is little. The other tenant stores over one
//! connection, and over many.
//! A ratio is the median of the rounds' ratios, with the lowest and the highest of them.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use kvlease_harness::wire::Wire;
use kvlease_server::{
    Server,
    config::{BucketGlob, Config, TenantConfig, TokenHash},
};
use kvlease_testing::{bytes, median, processors};
use kvlease_types::{BucketName, ByteSize, Quota};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const CAPACITY: ByteSize = ByteSize::mib(64);
/// Length of an object, in bytes.
const LEN: usize = 64 << 10;
/// Objects that are read: half of what is guaranteed.
const HOT: usize = 64;
const GUARANTEED: ByteSize = ByteSize::mib(8);
/// Connections of the tenant that stores.
const CONNECTIONS: [usize; 2] = [1, 16];
const TURN: Duration = Duration::from_secs(1);
const ROUNDS: usize = 9;
/// Objects that the other tenant has stored: no two have one name.
static NAMES: AtomicU64 = AtomicU64::new(0);
/// Pause between two reads, so that the reader is not the load itself.
const PAUSE: Duration = Duration::from_micros(200);

fn main() {
    let (own, other, open) = (Daemon::start(true), Daemon::start(true), Daemon::start(false));
    println!("{}; load {}; {ROUNDS} rounds", processors(), load());
    println!("hits of 64 KiB over HTTP; times in microseconds; puts of 64 KiB in a second\n");
    println!("{:<44} {:>8} {:>8} {:>10}", "", "p50", "p99", "puts/s");
    for connections in CONNECTIONS {
        let mut rounds: [Vec<Turn>; 4] = Default::default();
        for round in 0..ROUNDS {
            let sides =
                [(&own, None), (&own, Some(&other)), (&own, Some(&own)), (&open, Some(&open))];
            for step in 0..sides.len() {
                // Each side comes first in some rounds.
                let side = (round + step) % sides.len();
                rounds[side].push(turn(sides[side], connections));
            }
        }
        let [alone, beside, shared, without] = rounds;
        row("alone", &alone);
        row(&format!("{connections} connections store at another daemon"), &beside);
        row(&format!("{connections} connections store at the same daemon"), &shared);
        row("the same, without tenants", &without);
        ratio("p99 beside another daemon's tenant to alone", &beside, &alone);
        ratio("p99 beside its own daemon's tenant to alone", &shared, &alone);
        ratio("p99 of the same daemon to that of another", &shared, &beside);
        ratio("p99 of the same without tenants to that of another", &without, &beside);
        println!();
    }
    println!("load {}", load());
}

fn row(name: &str, turns: &[Turn]) {
    let of = |part: fn(&Turn) -> f64| median(turns.iter().map(part));
    let (p50, p99, stored) = (of(|turn| turn.p50), of(|turn| turn.p99), of(|turn| turn.stored));
    println!("{name:<44} {p50:>8.0} {p99:>8.0} {stored:>10.0}");
}

fn ratio(name: &str, of: &[Turn], to: &[Turn]) {
    let ratios = of.iter().zip(to).map(|(of, to)| of.p99 / to.p99);
    let (least, most) = ratios
        .clone()
        .fold((f64::MAX, 0_f64), |(least, most), ratio| (least.min(ratio), most.max(ratio)));
    println!("  {name}: {:.2} ({least:.2} to {most:.2})", median(ratios));
}

/// Average numbers of tasks that the machine had to run, of the last minute, five and fifteen.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Latencies of a turn in microseconds, and puts of the other tenant in a second.
struct Turn {
    p50: f64,
    p99: f64,
    stored: f64,
}

/// A daemon with two tenants or without, on threads of its own.
struct Daemon {
    address: SocketAddr,
    _server: Server,
    _runtime: Runtime,
    _dir: TempDir,
}

impl Daemon {
    fn start(has_tenants: bool) -> Self {
        let dir = TempDir::with_prefix_in("kvlease-bench-", "/dev/shm").unwrap();
        let quota = Quota { bytes_guaranteed: Some(GUARANTEED), ..Quota::default() };
        let tenants = ["watched", "storing"].into_iter().filter(|_| has_tenants);
        let config = Config {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            capacity: Some(CAPACITY),
            shared_memory_dir: dir.path().to_owned(),
            bucket_quotas: [(BucketName::new("watched").unwrap(), quota)].into(),
            tenants: tenants.map(|name| (name.to_owned(), tenant(name))).collect(),
            ..Config::default()
        };
        let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(config)).unwrap();
        let daemon =
            Self { address: server.address(), _server: server, _runtime: runtime, _dir: dir };
        let mut client = Client::new(&daemon, "watched");
        (0..HOT).for_each(|number| client.put(&format!("{number}"), &bytes(LEN, number as u64)));
        daemon
    }
}

fn tenant(name: &str) -> TenantConfig {
    let own = || vec![BucketGlob::parse(name).unwrap()];
    TenantConfig {
        token_sha256: vec![TokenHash::of(name.as_bytes())],
        read: own(),
        write: own(),
        ..TenantConfig::default()
    }
}

/// Connection of a tenant.
struct Client {
    wire: Wire,
    name: &'static str,
}

impl Client {
    fn new(daemon: &Daemon, name: &'static str) -> Self {
        Self { wire: Wire::open(daemon.address), name }
    }

    fn send(&mut self, method: &str, key: &str, body: &[u8]) {
        let name = self.name;
        self.wire.send(format!(
            "{method} /v1/kv/{name}/{key} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {name}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        ));
        self.wire.send(body);
    }

    fn put(&mut self, key: &str, body: &[u8]) {
        self.send("PUT", key, body);
        assert_eq!(self.wire.reply().status, 200, "{key}");
    }

    fn hit(&mut self, key: &str) {
        self.send("GET", key, b"");
        let reply = self.wire.reply();
        assert_eq!((reply.status, reply.body.len()), (200, LEN), "{key}");
    }
}

/// Reads for the time of a turn, while another tenant stores at a daemon.
fn turn((daemon, stores_at): (&Daemon, Option<&Daemon>), connections: usize) -> Turn {
    let (stop, stored) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut times: Vec<f64> = Vec::new();
    let mut started = Instant::now();
    thread::scope(|scope| {
        for daemon in stores_at.iter().flat_map(|daemon| vec![*daemon; connections]) {
            let (stop, stored) = (&stop, &stored);
            scope.spawn(move || store(daemon, stop, stored));
        }
        let mut client = Client::new(daemon, "watched");
        // The first request knows the connection.
        client.hit("0");
        started = Instant::now();
        while started.elapsed() < TURN {
            let began = Instant::now();
            client.hit(&format!("{}", times.len() % HOT));
            times.push(began.elapsed().as_secs_f64() * 1e6);
            thread::sleep(PAUSE);
        }
        stop.store(true, Relaxed);
    });
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    let stored = stored.load(Relaxed) as f64 / started.elapsed().as_secs_f64();
    Turn { p50: at(0.5), p99: at(0.99), stored }
}

fn store(daemon: &Daemon, stop: &AtomicBool, stored: &AtomicU64) {
    let (mut client, object) = (Client::new(daemon, "storing"), bytes(LEN, 1));
    while !stop.load(Relaxed) {
        client.put(&NAMES.fetch_add(1, Relaxed).to_string(), &object);
        stored.fetch_add(1, Relaxed);
    }
}
