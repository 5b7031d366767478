//! Server-sent events: a client knows exactly what is there, however it comes, breaks off and comes again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use kvlease_api::ListReply;
use kvlease_harness::until;
use kvlease_testing::{Draws, bytes};
use kvlease_types::ByteSize;
use serde_json::Value;

use crate::{
    daemon::{Daemon, WAIT_MAX},
    wire::{connect_with_small_window, refused},
};

/// The most bytes that the kernel has for a client: what it takes of a reply that is not on its way yet, a
/// window, and the piece that is being written.
const UNREAD_MAX: u64 = 256 << 10;

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Event {
    name: String,
    id: Option<String>,
    data: Value,
}

/// A stream of events, read as it comes.
struct Stream {
    socket: BufReader<TcpStream>,
    text: String,
}

impl Stream {
    fn open(address: SocketAddr, query: &str, last: Option<&str>) -> Self {
        Self::on(TcpStream::connect(address).unwrap(), query, last)
    }

    fn on(mut socket: TcpStream, query: &str, last: Option<&str>) -> Self {
        socket.set_read_timeout(Some(WAIT_MAX)).unwrap();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        write!(socket, "GET /v1/events{query} HTTP/1.1\r\nHost: d\r\n{last}\r\n").unwrap();
        let mut stream = Self { socket: BufReader::new(socket), text: String::new() };
        let status = stream.line();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        let mut headers = BTreeSet::new();
        loop {
            match stream.line() {
                line if line.is_empty() => break,
                line => headers.insert(line.to_ascii_lowercase()),
            };
        }
        assert!(headers.contains("content-type: text/event-stream"), "{headers:?}");
        assert!(headers.contains("cache-control: no-store"), "{headers:?}");
        stream
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.socket.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                match event.starts_with(':') {
                    true => continue,
                    false => return Some(parsed(&event)),
                }
            }
            let len = usize::from_str_radix(&self.line(), 16).unwrap();
            let mut chunk = vec![0; len];
            self.socket.read_exact(&mut chunk).unwrap();
            assert_eq!(self.line(), "");
            if len == 0 {
                assert_eq!(self.text, "");
                return None;
            }
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// All events up to the end of the stream.
    fn all(mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

fn parsed(event: &str) -> Event {
    let fields: BTreeMap<_, _> = event.lines().map(|line| line.split_once(": ").unwrap()).collect();
    Event {
        name: fields["event"].to_owned(),
        id: fields.get("id").map(|id| (*id).to_owned()),
        data: serde_json::from_str(fields["data"]).unwrap(),
    }
}

/// Bytes that the daemon has written to a client, and the client's side of the kernel has not taken.
fn unread(socket: &TcpStream) -> u64 {
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let daemon = port(socket.peer_addr().unwrap());
    let client = port(socket.local_addr().unwrap());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    // Number, own address, the other's address, state, both queues.
    let is_daemons = |row: &Vec<&str>| row[1].ends_with(&daemon) && row[2].ends_with(&client);
    let row = rows.into_iter().find(is_daemons).unwrap();
    let (to_send, _) = row[4].split_once(':').unwrap();
    u64::from_str_radix(to_send, 16).unwrap()
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

/// Knowledge of a client.
#[derive(Default)]
struct Known {
    objects: BTreeMap<String, u64>,
    last: Option<String>,
    /// How often which event came.
    seen: BTreeMap<String, u64>,
}

impl Known {
    fn learn(&mut self, event: Event) {
        *self.seen.entry(event.name.clone()).or_default() += 1;
        let key = || event.data["key"].as_str().unwrap().to_owned();
        match event.name.as_str() {
            "lost" => self.objects.clear(),
            "present" | "sealed" | "restored" => {
                let generation = event.data["generation"].as_u64().unwrap();
                self.objects.insert(key(), generation);
            }
            "removed" | "evicted" | "corrupt" => drop(self.objects.remove(&key())),
            "current" | "end" => {}
            other => panic!("no event is called {other}"),
        }
        // A client of the standard keeps the id until another one comes.
        self.last = event.id.or(self.last.take());
    }
}

fn there(daemon: &Daemon) -> BTreeMap<String, u64> {
    let reply: ListReply = daemon.wire().call("GET", "/v1/kv/b?limit=10000&tier=memory").json();
    let objects = reply.objects.into_iter().map(|object| object.key);
    let generation = |key: &String| {
        let reply = daemon.wire().call("GET", &format!("/v1/kv/b/{key}/locations"));
        reply.json::<Value>()["generation"].as_u64()
    };
    objects.map(|key| (key.clone(), generation(&key).unwrap_or_default())).collect()
}

#[test]
fn an_object_whose_time_is_over_leaves_with_that_reason() {
    let daemon = Daemon::start();
    let mut stream = Stream::open(daemon.address, "?bucket=b&snapshot=false", None);
    assert_eq!(daemon.wire().call("PUT", "/v1/buckets/b/policy?ttl_s=0.001").status, 200);
    daemon.put("k", &bytes(100, 1));
    let events: Vec<_> = std::iter::from_fn(|| stream.next()).take(3).collect();
    assert_eq!(names(&events), ["current", "sealed", "expired"]);
    assert_eq!(events[2].data, events[1].data);
}

#[test]
fn a_client_that_comes_late_breaks_off_and_misses_events_ends_with_what_is_there() {
    let mut draws = Draws::seeded(18);
    let daemon = Daemon::with(|config| {
        config.capacity = Some(ByteSize::mib(4));
        // Some ten events.
        config.events_memory_max = ByteSize::kib(1);
    });
    let mut wire = daemon.wire();
    let mut known = Known::default();
    for round in 0..40 {
        // While no stream is open, more may happen than the log holds.
        let most = if draws.one_in(3) { 120 } else { 12 };
        for _ in 0..draws.below(most) {
            let key = format!("/v1/kv/b/{}", draws.below(50));
            match draws.below(5) {
                0..4 => drop(wire.put(&key, &bytes(1 + draws.index(200 << 10), round))),
                _ => drop(wire.call("DELETE", &key)),
            }
        }
        // Some streams break off in the middle, as if the client had been killed.
        let last = known.last.clone();
        let mut stream = Stream::open(daemon.address, "?timeout_ms=50", last.as_deref());
        let mut left = if draws.one_in(2) { draws.below(20) } else { u64::MAX };
        while left > 0
            && let Some(event) = stream.next()
        {
            known.learn(event);
            left -= 1;
        }
        if known.last.is_none() {
            // It broke off within its first snapshot.
            known.objects.clear();
        }
    }
    let there = there(&daemon);
    let keys = |objects: &BTreeMap<String, u64>| objects.keys().cloned().collect::<Vec<_>>();
    let current = until(WAIT_MAX, || {
        let last = known.last.clone();
        for event in Stream::open(daemon.address, "?timeout_ms=200", last.as_deref()).all() {
            known.learn(event);
        }
        (keys(&known.objects) == keys(&there)).then_some(())
    });
    assert!(current.is_some(), "{:?} is not {:?}", keys(&known.objects), keys(&there));
    for name in ["present", "current", "lost", "sealed", "removed", "evicted", "end"] {
        assert!(known.seen.contains_key(name), "{name} never came: {:?}", known.seen);
    }
    assert!(daemon.metric("kvlease_events_lost_total") > 0.0);
    assert!(daemon.metric("kvlease_events_total") > 0.0);
}

#[test]
fn a_client_that_reads_nothing_is_told_what_it_missed_and_delays_no_one() {
    let daemon = Daemon::with(|config| config.events_memory_max = ByteSize::kib(64));
    let socket = connect_with_small_window(daemon.address).unwrap();
    let mut slow = Stream::on(socket, "?snapshot=false", None);
    assert_eq!(slow.next().unwrap().name, "current");
    // Long keys fill the socket and the log.
    let mut wire = daemon.wire();
    let key = "k".repeat(2000);
    let lost = || daemon.metric("kvlease_events_lost_total") > 0.0;
    for n in 0.. {
        assert!(n < 100_000, "no event was lost");
        assert_eq!(wire.put(&format!("/v1/kv/b/{key}{}", n % 50), b"1").status, 200);
        assert_eq!(wire.call("DELETE", &format!("/v1/kv/b/{key}{}", n % 50)).status, 200);
        if n % 1000 == 999 && daemon.metric("kvlease_events_total") > 5_000.0 {
            break;
        }
    }
    let unread = unread(slow.socket.get_ref());
    assert!(unread < UNREAD_MAX, "the kernel has {unread} bytes for a client that reads nothing");
    daemon.put("last", b"1");
    let mut seen = BTreeSet::new();
    loop {
        let event = slow.next().unwrap();
        seen.insert(event.name.clone());
        if event.data["key"] == "last" || (event.name == "current" && lost()) {
            break;
        }
    }
    assert!(seen.contains("lost"), "{seen:?}");
    assert_eq!(daemon.metric("kvlease_event_subscribers"), 1.0);
    drop(slow);
    daemon
        .eventually("the end of the stream", || daemon.metric("kvlease_event_subscribers") == 0.0);
}

#[test]
fn events_of_one_bucket_are_those_of_its_objects() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    for (bucket, key) in [("a", "1"), ("b%2Fc", "2"), ("a", "3")] {
        assert_eq!(wire.put(&format!("/v1/kv/{bucket}/{key}"), b"abc").status, 200);
    }
    let mut stream = Stream::open(daemon.address, "?bucket=b%2Fc", None);
    let present = stream.next().unwrap();
    let expected = r#"{"bucket":"b/c","key":"2","len":3,"generation":0,"tier":"memory"}"#;
    let mut expected: Value = serde_json::from_str(expected).unwrap();
    expected["generation"] = present.data["generation"].clone();
    assert_eq!((present.name.as_str(), present.id, present.data), ("present", None, expected));
    let current = stream.next().unwrap();
    assert_eq!(current.data["objects"], 1);
    assert_eq!(wire.call("DELETE", "/v1/kv/a/1").status, 200);
    assert_eq!(wire.call("DELETE", "/v1/kv/b%2Fc/2").status, 200);
    let removed = stream.next().unwrap();
    assert_eq!((removed.name.as_str(), &removed.data["key"]), ("removed", &"2".into()));
    assert!(removed.id.unwrap() > current.id.unwrap());
}

#[test]
fn a_client_of_an_earlier_incarnation_begins_anew() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    for id in ["0000000000000001-1", "nonsense", ""] {
        let events = Stream::open(daemon.address, "?timeout_ms=0", Some(id)).all();
        assert_eq!(names(&events), ["lost", "present", "current", "end"], "{id}");
        assert_eq!(events[0].data["reason"], "restart");
        assert_eq!(events[3].data["reason"], "timeout");
    }
    let events = Stream::open(daemon.address, "?timeout_ms=0&snapshot=false", None).all();
    assert_eq!(names(&events), ["current", "end"]);
    let id = events[0].id.as_deref();
    let events = Stream::open(daemon.address, "?timeout_ms=0", id).all();
    assert_eq!(names(&events), ["end"]);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let daemon = Daemon::start();
    for query in ["?snapshot=maybe", "?timeout_ms=-1", "?bucket=%zz"] {
        let reply = daemon.wire().call("GET", &format!("/v1/events{query}"));
        assert_eq!(reply.refusal(), refused(400, "invalid"), "{query}");
    }
}

#[test]
fn streams_end_when_the_daemon_drains() {
    let mut daemon = Daemon::with(|config| config.drain_timeout = WAIT_MAX);
    daemon.put("k", b"abc");
    let lease = daemon.lease("k");
    let stream = Stream::open(daemon.address, "?snapshot=false", None);
    let stopped = daemon.begin_shutdown();
    let events = stream.all();
    assert_eq!(names(&events), ["current", "end"]);
    assert_eq!(events[1].data["reason"], "drain");
    let reply = daemon.wire().call("GET", "/v1/events");
    assert_eq!(reply.refusal(), refused(503, "unavailable"));
    daemon.release(&lease);
    stopped();
}

#[test]
fn an_open_stream_ends_within_a_short_drain() {
    let mut daemon = Daemon::with(|config| config.drain_timeout = Duration::from_millis(300));
    let stream = Stream::open(daemon.address, "", None);
    let stopped = daemon.begin_shutdown();
    assert_eq!(names(&stream.all()), ["current", "end"]);
    stopped();
}
