//! A daemon at exactly the documented memory limit, under all loads that connections can make, at
//! the same time and for the whole time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clients;
mod limit;
mod load;
mod tls;

use std::{
    env,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use kvlease_api::LeaseReply;
use kvlease_harness::{Daemon, Launch, Payload, await_that, daemon_binary, object, unused_address};

use clients::{Kind, Load};
use limit::{Limit, resident_peak, resident_private};
use tls::Tls;

/// Size of the arena.
const CAPACITY: u64 = 64 << 20;

/// The sum of docs/configuration.md: capacity, twice the least memory of the catalog, and 64 MiB.
const DOCUMENTED: u64 = CAPACITY + 2 * (32 << 20) + (64 << 20);

/// How long the load is held while other clients are served, in seconds, unless [`SECONDS`] says it.
const HELD_S: u64 = 8;

/// Variable with another time.
const SECONDS: &str = "KVLEASE_TEST_SECONDS";

/// How long hits are timed without the load, for the output of the test.
const CALM: Duration = Duration::from_secs(2);

/// Memory that the heap may keep once the load is gone.
const KEPT: u64 = 16 << 20;

/// Clients with TLS at one look that make a load: half of those that there are places for.
const ENCRYPTED_MIN: usize = 32;

/// Hits of other clients.
#[derive(Debug, Default)]
struct Hits {
    took: Vec<Duration>,
    /// Requests that found no ordinary place in time: the daemon asks to try again.
    refused: usize,
}

/// Leases an object again and again. Connections are new: one that was idle while the load came has
/// given its place away.
fn serve_others(daemon: &Daemon, held: Duration) -> Hits {
    let (started, mut hits) = (Instant::now(), Hits::default());
    while started.elapsed() < held {
        for path in ["/healthz", "/readyz"] {
            assert_eq!(daemon.call("GET", path, b"").unwrap().status, 200, "{path}");
        }
        let asked = Instant::now();
        let lease = daemon.call("POST", "/v1/kv/b/hit/leases?ttl_s=1", b"").unwrap();
        if lease.status == 503 {
            hits.refused += 1;
            continue;
        }
        hits.took.push(asked.elapsed());
        assert_eq!(lease.status, 200, "{lease:?}");
        let release = format!("/v1/leases/{}/release", lease.json::<LeaseReply>().id);
        // One that is refused ends with its time to live.
        let released = daemon.call("POST", &release, b"").unwrap().status;
        assert!(matches!(released, 200 | 503), "{released}");
        thread::sleep(Duration::from_millis(5));
    }
    hits.took.sort();
    hits
}

/// Median and 99th percentile of hits, and how many were refused.
fn percentiles(Hits { took, refused }: &Hits) -> String {
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    format!("p50 {:?}, p99 {:?} of {}, {refused} refused", at(50), at(99), took.len())
}

/// Puts a daemon under a load, to whose listener with TLS its clients may go, while others are served.
fn survive(kinds: Vec<Kind>, tls: Option<&Tls>) {
    let limit = Limit::new(DOCUMENTED);
    let launch = Launch::new(daemon_binary(), format!("{CAPACITY}"));
    let launch = match &limit {
        Limit::ControlGroup(group) => launch.in_control_group(group.path()),
        // The daemon sees no limit, and is held to what it would derive from it.
        Limit::Measured => launch.set(["server.connection_memory_max=32MiB"]),
    };
    let encrypted = tls.map(|tls| (unused_address(), tls));
    let settings = encrypted.iter().flat_map(|(address, tls)| tls.settings(address));
    let mut daemon = Daemon::start(launch.set(settings)).unwrap();
    let id = daemon.pid().unwrap();
    let hit = Payload::new("hit", 1, 100_000).bytes();
    assert_eq!(daemon.call("PUT", &object("b", "hit"), &hit).unwrap().status, 200);
    load::fill(&daemon);
    let calm = serve_others(&daemon, CALM);
    let before = resident_private(id);
    let place = encrypted.map(|(at, tls)| (at.parse().unwrap(), Arc::clone(&tls.clients)));
    let load = Load::start(&daemon, kinds, place);
    let held = env::var(SECONDS).map_or(HELD_S, |seconds| seconds.parse().unwrap());
    let hits = serve_others(&daemon, Duration::from_secs(held));
    assert!(daemon.is_alive().unwrap(), "{}", daemon.log());
    let (peak, under_load) = (resident_peak(id), resident_private(id));
    let told = load.end();
    eprintln!("limit {DOCUMENTED}, peak {peak}, private before {before}, {limit:?}");
    eprintln!("under load {under_load}: {}, {} encrypted", told.clients, told.encrypted);
    eprintln!("hits: calm {}; under load {}", percentiles(&calm), percentiles(&hits));
    let encrypted_min = if tls.is_some() { ENCRYPTED_MIN } else { 0 };
    assert!(told.encrypted >= encrypted_min, "{} encrypted at most", told.encrypted);
    assert_eq!(calm.refused, 0);
    assert!(hits.refused < hits.took.len(), "hardly served: {}", percentiles(&hits));
    assert!(peak <= DOCUMENTED, "peak {peak}, limit {DOCUMENTED}");
    await_that("the memory is given back", || resident_private(id) <= before + KEPT);
    assert!(daemon.is_alive().unwrap(), "{}", daemon.log());
    assert!(daemon.terminate().unwrap().success());
}

#[test]
fn a_daemon_at_the_documented_limit_survives_all_loads_at_once_and_gives_memory_back() {
    survive(load::kinds(), None);
}

#[test]
fn loads_of_http_over_tls_keep_the_same_limit() {
    survive(load::encrypted_kinds(), Some(&Tls::new()));
}
