//! One tenant that scans at full speed, and the hits of another one.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use kvlease_cache::EvictionKind;
use kvlease_harness::wire::Wire;
use kvlease_server::config::{Eviction, TenantConfig};
use kvlease_testing::{Draws, bytes};
use kvlease_types::{ByteSize, Quota};

use super::{FOREIGN, OWN, add, globs, tenant, token};
use crate::daemon::Daemon;

/// Size of an object.
const LEN: usize = 64 << 10;

/// Requests of the tenant that is watched.
const REQUESTS: u64 = 3_000;

/// One percentage point of them.
const POINT: u64 = REQUESTS / 100;

/// Objects that it asks for, the first ones more often: 24 MiB, and it is guaranteed 8.
const OBJECTS: u64 = 384;

/// Objects that the other one stores in the meantime at least: eight arenas.
const SCANNED_MIN: u64 = 2_048;

fn call(wire: &mut Wire, name: &str, method: &str, key: &str, body: &[u8]) -> u16 {
    let head = format!(
        "Host: d\r\nAuthorization: Bearer {}\r\nContent-Length: {}",
        token(name),
        body.len()
    );
    wire.send(format!("{method} /v1/kv/{name}/{key} HTTP/1.1\r\n{head}\r\n\r\n"));
    wire.send(body);
    if method == "HEAD" { wire.reply_to_head().status } else { wire.reply().status }
}

/// Hits of a tenant that stores what it misses.
fn hits(daemon: &Daemon) -> u64 {
    times_of_hits(daemon).len() as u64
}

/// The same, with the time that each took.
fn times_of_hits(daemon: &Daemon) -> Vec<Duration> {
    let (mut wire, mut draws, object) = (daemon.wire(), Draws::new(7), bytes(LEN, 1));
    let mut hits = Vec::new();
    for _ in 0..REQUESTS {
        let below = 1 + draws.below(OBJECTS);
        let key = format!("k{}", draws.below(below));
        let started = Instant::now();
        match call(&mut wire, OWN, "GET", &key, b"") {
            200 => hits.push(started.elapsed()),
            404 => assert_eq!(call(&mut wire, OWN, "PUT", &key, &object), 200),
            status => panic!("{status} of {key}"),
        }
    }
    hits
}

fn daemon(eviction: EvictionKind) -> Daemon {
    let with = |name: &str, quota| {
        let own = || globs(&[name]);
        let (read, write) = (own(), own());
        TenantConfig { read, write, quota, ..tenant(name) }
    };
    let size = Some(ByteSize::mib(8));
    let quota = Quota { bytes_max: size, bytes_guaranteed: size, ..Quota::default() };
    Daemon::with(|config| {
        config.eviction = Eviction::Always(eviction);
        add(config, [(OWN, with(OWN, quota)), (FOREIGN, with(FOREIGN, Quota::default()))]);
    })
}

/// Finding of a test while another tenant stores at full speed, and has filled the arena before.
fn beside_a_scan<T>(daemon: &Daemon, find: impl FnOnce(&Daemon) -> T) -> T {
    let (ended, scanned) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        // Also where a test fails.
        let _end = End(&ended);
        let scan = scope.spawn(|| {
            let (mut wire, object) = (daemon.wire(), bytes(LEN, 2));
            while !ended.load(Relaxed) {
                let key = format!("s{}", scanned.fetch_add(1, Relaxed));
                assert_eq!(call(&mut wire, FOREIGN, "PUT", &key, &object), 200);
            }
        });
        while scanned.load(Relaxed) < SCANNED_MIN && !scan.is_finished() {
            thread::yield_now();
        }
        find(daemon)
    })
}

/// Ends a scan when this is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_scan_of_one_tenant_leaves_another_ones_hits_as_they_are() {
    for eviction in EvictionKind::ALL {
        let alone = hits(&daemon(eviction));
        let beside = beside_a_scan(&daemon(eviction), hits);
        assert!(alone > REQUESTS / 5 && alone < REQUESTS * 4 / 5, "{eviction}: {alone} hits");
        let found = format!("{eviction}: {alone} hits alone, {beside} beside a scan");
        assert!((alone - POINT..=alone + POINT).contains(&beside), "{found}");
    }
}

#[test]
#[ignore = "measures: run it alone on a machine with cores to spare, with --release --nocapture"]
fn times_of_hits_alone_and_beside_a_scan() {
    let quantiles = |mut times: Vec<Duration>| {
        times.sort_unstable();
        [0.5, 0.99].map(|part| times[(times.len() as f64 * part) as usize])
    };
    let eviction = EvictionKind::default();
    let alone = quantiles(times_of_hits(&daemon(eviction)));
    let beside = quantiles(beside_a_scan(&daemon(eviction), times_of_hits));
    for (name, (alone, beside)) in ["p50", "p99"].iter().zip(alone.into_iter().zip(beside)) {
        let ratio = beside.as_secs_f64() / alone.as_secs_f64();
        println!("{name}: {alone:?} alone, {beside:?} beside a scan, {ratio:.2} times");
    }
}
