//! KV events over ZeroMQ: a router knows exactly the blocks that are there, whatever it misses.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use kvlease_api::ListReply;
use kvlease_server::config::{Config, EventsEndpoint, EventsFormat};
use kvlease_testing::{Draws, bytes, free_port};
use kvlease_types::ByteSize;
use rmpv::Value;
use tokio::{runtime::Runtime, time::timeout};
use zeromq::{DealerSocket, Socket, SocketRecv, SocketSend, SubSocket, ZmqMessage};

use crate::{
    daemon::{Daemon, WAIT_MAX},
    wire::{Wire, refused},
};

/// Time after which a router takes it that there is nothing more to come.
const QUIET: Duration = Duration::from_millis(500);

/// Rounds of a test of several routers, at least.
const ROUNDS: u32 = 200;

/// A daemon that publishes, with another configuration.
fn publishing(change: impl FnOnce(&mut Config)) -> Daemon {
    Daemon::with(|config| {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        config.events_endpoint = Some(EventsEndpoint::Listen(any));
        config.events_replay_endpoint = Some(any);
        config.events_topic = "kv@node@model".to_owned();
        change(config);
    })
}

/// A batch as it came: number and payload.
#[derive(Clone, Debug)]
struct Message {
    number: u64,
    events: Vec<Value>,
}

/// A subscriber, by the rule of vLLM's example: it asks for what it missed.
struct Router {
    runtime: Runtime,
    publish: SocketAddr,
    socket: SubSocket,
    dealer: DealerSocket,
    last: Option<u64>,
    blocks: BTreeSet<Hash>,
    seen: BTreeSet<String>,
    replays: u64,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Hash {
    Unsigned(u64),
    Signed(i64),
    Bytes(Vec<u8>),
}

impl Router {
    fn connect(daemon: &Daemon) -> Self {
        let (publish, replay) = daemon.events_addresses();
        let (publish, replay) = (publish.unwrap(), replay.unwrap());
        let runtime = Runtime::new().unwrap();
        let socket = runtime.block_on(subscriber(publish));
        let dealer = runtime.block_on(connected(replay));
        let (blocks, seen) = (BTreeSet::new(), BTreeSet::new());
        Self { runtime, publish, socket, dealer, last: None, blocks, seen, replays: 0 }
    }

    fn connect_again(&mut self) {
        self.socket = self.runtime.block_on(subscriber(self.publish));
    }

    fn receive(&mut self, wait: Duration) -> Option<Message> {
        let received = self.runtime.block_on(async { timeout(wait, self.socket.recv()).await });
        let Ok(frames) = received.ok()? else {
            // The daemon has closed all connections, for one that takes nothing.
            self.connect_again();
            return self.receive(wait);
        };
        let frames = frames.into_vec();
        let [topic, number, payload] = &frames[..] else { panic!("three frames: {frames:?}") };
        assert_eq!(&topic[..], b"kv@node@model");
        Some(message(number, payload))
    }

    /// Takes a batch, and before it those that were missed.
    fn take(&mut self, message: &Message) {
        let next = self.last.map_or(0, |last| last + 1);
        if message.number > next {
            self.ask(next);
        }
        if self.last.is_none_or(|last| message.number > last) {
            self.apply(message);
        }
    }

    /// Asks for the batches from this number on.
    fn ask(&mut self, from: u64) {
        self.replays += 1;
        for message in self.replayed(from) {
            if self.last.is_none_or(|last| message.number > last) {
                self.apply(&message);
            }
        }
    }

    fn replayed(&mut self, from: u64) -> Vec<Message> {
        let number = ::bytes::Bytes::copy_from_slice(&from.to_be_bytes());
        let request = vec![::bytes::Bytes::new(), number];
        let dealer = &mut self.dealer;
        self.runtime.block_on(async {
            dealer.send(ZmqMessage::try_from(request).unwrap()).await.unwrap();
            let mut messages = Vec::new();
            loop {
                let frames = timeout(WAIT_MAX, dealer.recv()).await.unwrap().unwrap().into_vec();
                let [empty, topic, number, payload] = &frames[..] else { panic!("{frames:?}") };
                assert_eq!(&empty[..], b"");
                if payload.is_empty() {
                    assert_eq!((&topic[..], &number[..]), (&b""[..], &[0xff; 8][..]));
                    return messages;
                }
                assert_eq!(&topic[..], b"kv@node@model");
                messages.push(message(number, payload));
            }
        })
    }

    fn apply(&mut self, message: &Message) {
        for event in &message.events {
            let name = field(event, "type").as_str().unwrap().to_owned();
            match name.as_str() {
                "BlockStored" => self.blocks.extend(hashes(event)),
                "BlockRemoved" => {
                    for hash in hashes(event) {
                        self.blocks.remove(&hash);
                    }
                }
                "AllBlocksCleared" => self.blocks.clear(),
                other => panic!("no event is called {other}"),
            }
            self.seen.insert(name);
        }
        self.last = Some(message.number);
    }

    /// Takes all that comes, until it knows these blocks and nothing more comes.
    fn settle_on(&mut self, there: &BTreeSet<Hash>) {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            while let Some(message) = self.receive(QUIET) {
                self.take(&message);
            }
            if self.blocks == *there {
                return;
            }
            assert!(Instant::now() < deadline, "{:?} is not {there:?}", self.blocks);
            // The last batches may have been lost, and no later one shows it.
            self.ask(self.last.map_or(0, |last| last + 1));
        }
    }
}

async fn subscriber(address: SocketAddr) -> SubSocket {
    let mut socket: SubSocket = connected(address).await;
    socket.subscribe("kv@").await.unwrap();
    socket
}

/// A socket that is connected. The daemon closes all connections for one that takes nothing: the next attempt
/// succeeds.
async fn connected<S: Socket>(address: SocketAddr) -> S {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let mut socket = S::new();
        match socket.connect(&format!("tcp://{address}")).await {
            Ok(()) => return socket,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

fn message(number: &[u8], payload: &[u8]) -> Message {
    let number = u64::from_be_bytes(number.try_into().unwrap());
    let mut rest = payload;
    let batch = rmpv::decode::read_value(&mut rest).unwrap();
    assert!(rest.is_empty());
    let Value::Array(parts) = batch else { panic!("an array: {batch}") };
    let [time, events, rank] = &parts[..] else { panic!("three parts: {parts:?}") };
    assert!(time.as_f64().unwrap() > 1.7e9 && rank.is_nil());
    Message { number, events: events.as_array().unwrap().clone() }
}

fn field<'a>(event: &'a Value, name: &str) -> &'a Value {
    let fields = event.as_map().unwrap();
    let found = fields.iter().find(|(key, _)| key.as_str() == Some(name));
    &found.unwrap_or_else(|| panic!("no {name} in {event}")).1
}

fn hashes(event: &Value) -> Vec<Hash> {
    field(event, "block_hashes").as_array().unwrap().iter().map(hash).collect()
}

fn hash(value: &Value) -> Hash {
    match value {
        Value::Binary(bytes) => Hash::Bytes(bytes.clone()),
        number => match number.as_u64() {
            Some(number) => Hash::Unsigned(number),
            None => Hash::Signed(number.as_i64().unwrap()),
        },
    }
}

/// Key of LMCache's client in the engine's process.
fn key(number: u64) -> String {
    format!("org%2Fm@1@0@{number:x}@half")
}

/// Hashes of the keys that are there.
fn there(daemon: &Daemon) -> BTreeSet<Hash> {
    let reply: ListReply = daemon.wire().call("GET", "/v1/kv/b?limit=10000&tier=memory").json();
    let number = |key: &str| u64::from_str_radix(key.split('@').nth(3).unwrap(), 16).unwrap();
    reply.objects.iter().map(|object| Hash::Unsigned(number(&object.key))).collect()
}

#[test]
fn a_router_that_comes_late_loses_batches_and_asks_for_them_ends_with_what_is_there() {
    let mut draws = Draws::seeded(2);
    let daemon = publishing(|config| {
        config.capacity = Some(ByteSize::mib(4));
        // Some batches are not kept any more when they are asked for.
        config.events_memory_max = ByteSize::kib(8);
    });
    let mut wire = daemon.wire();
    let mut routers = Vec::new();
    let settled = |router: &Router| router.replays > 0 && router.seen.len() == 3;
    let mut rounds = 0;
    while rounds < ROUNDS || routers.len() < 3 || !routers.iter().all(settled) {
        rounds += 1;
        assert!(rounds < 100 * ROUNDS, "the routers never see all that there is");
        for _ in 0..draws.below(30) {
            let target = format!("/v1/kv/b/{}", key(draws.below(60)));
            match draws.below(4) {
                0..3 => drop(wire.put(&target, &bytes(1 + draws.index(200 << 10), 1))),
                _ => drop(wire.call("DELETE", &target)),
            }
        }
        if routers.len() < 3 && draws.one_in(8) {
            routers.push(Router::connect(&daemon));
        }
        for router in &mut routers {
            if draws.one_in(60) {
                router.connect_again();
            }
            while let Some(message) = router.receive(Duration::from_millis(1)) {
                // One in eight is lost on the way.
                if !draws.one_in(8) {
                    router.take(&message);
                }
            }
        }
    }
    let there = there(&daemon);
    assert!(there.len() > 5, "{there:?}");
    for router in &mut routers {
        router.settle_on(&there);
    }
}

#[test]
fn a_router_that_comes_late_gets_what_is_there_without_asking() {
    let daemon = publishing(|_| {});
    daemon.put(&key(7), b"abc");
    let mut router = Router::connect(&daemon);
    while !router.blocks.contains(&Hash::Unsigned(7)) {
        let message = router.receive(WAIT_MAX).expect("a snapshot comes");
        router.apply(&message);
    }
    daemon.put(&key(8), b"abc");
    let message = router.receive(WAIT_MAX).unwrap();
    let stored = &message.events[0];
    let names: Vec<_> = stored.as_map().unwrap().iter().map(|(key, _)| key.to_string()).collect();
    let expected = [
        "type",
        "block_hashes",
        "parent_block_hash",
        "token_ids",
        "block_size",
        "lora_id",
        "medium",
        "lora_name",
        "locality",
        "ownership",
    ];
    assert_eq!(names, expected.map(|name| format!("\"{name}\"")));
    assert_eq!(field(stored, "medium").as_str(), Some("CPU"));
    assert_eq!(field(stored, "locality").as_str(), Some("LOCAL"));
    assert_eq!(field(stored, "ownership").as_str(), Some("kvlease"));
    assert!(field(stored, "lora_name").is_nil());
    // What has no block in its key is no KV event.
    daemon.put("plain", b"abc");
    assert_eq!(daemon.wire().call("DELETE", &format!("/v1/kv/b/{}", key(7))).status, 200);
    let message = router.receive(WAIT_MAX).unwrap();
    let removed: Vec<_> =
        message.events[0].as_map().unwrap().iter().map(|f| f.0.to_string()).collect();
    let expected = ["type", "block_hashes", "medium", "locality", "ownership"];
    assert_eq!(removed, expected.map(|name| format!("\"{name}\"")));
}

#[test]
fn blocks_that_a_client_tells_are_published_with_tokens_and_parent() {
    let daemon = publishing(|_| {});
    let mut router = Router::connect(&daemon);
    let mut wire = daemon.wire();
    let mut put = |key: &str, blocks: &str| {
        wire.send(format!(
            "PUT /v1/kv/b/{key} HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nkvlease-blocks: {blocks}\r\n\r\nabc"
        ));
        wire.reply()
    };
    let blocks = r#"{"hashes": [1, -2, "00ff"], "parent": 9, "tokens": [5, 6, 7, 8, 9, 10], "block_size": 2, "lora_name": "ad", "group": 1}"#;
    assert_eq!(put("k", blocks).status, 200);
    for wrong in ["{}", r#"{"hashes": []}"#, "x"] {
        let reply = put("wrong", wrong);
        assert_eq!(reply.refusal(), refused(400, "invalid"), "{wrong}");
    }
    // A refused put does not change what is told of the object that is there.
    assert_eq!(put("k", r#"{"hashes": [77]}"#).status, 409);
    let stored = loop {
        let message = router.receive(WAIT_MAX).unwrap();
        router.apply(&message);
        let mut events = message.events.into_iter();
        if let Some(stored) = events.find(|e| field(e, "type").as_str() == Some("BlockStored")) {
            break stored;
        }
    };
    let all = [Hash::Unsigned(1), Hash::Signed(-2), Hash::Bytes(vec![0, 0xff])];
    assert_eq!(hashes(&stored), all);
    assert_eq!(field(&stored, "parent_block_hash").as_u64(), Some(9));
    let tokens: Vec<_> = field(&stored, "token_ids").as_array().unwrap().to_vec();
    assert_eq!(tokens, [5, 6, 7, 8, 9, 10].map(Value::from));
    assert_eq!(field(&stored, "block_size").as_u64(), Some(2));
    assert_eq!(field(&stored, "lora_name").as_str(), Some("ad"));
    assert_eq!(field(&stored, "group_idx").as_u64(), Some(1));
    assert_eq!(daemon.wire().call("DELETE", "/v1/kv/b/k").status, 200);
    loop {
        let message = router.receive(WAIT_MAX).unwrap();
        router.apply(&message);
        if router.blocks.is_empty() {
            break;
        }
    }
}

#[test]
fn a_router_that_knows_an_earlier_daemon_is_told_to_begin_anew() {
    let daemon = publishing(|_| {});
    daemon.put(&key(7), b"abc");
    let mut router = Router::connect(&daemon);
    let messages = router.replayed(u64::MAX / 2);
    let first = &messages[0].events[0];
    assert_eq!(field(first, "type").as_str(), Some("AllBlocksCleared"));
    assert_eq!(field(first, "epoch").as_str(), Some(daemon.stats().epoch.as_str()));
    for message in &messages {
        router.apply(message);
    }
    router.settle_on(&BTreeSet::from([Hash::Unsigned(7)]));
    let next = router.last.unwrap() + 1;
    assert!(router.replayed(next).is_empty(), "nothing was missed");
}

#[test]
fn events_are_arrays_for_readers_that_know_no_maps() {
    let daemon = publishing(|config| config.events_format = EventsFormat::Arrays);
    daemon.put(&key(7), b"abc");
    let mut router = Router::connect(&daemon);
    let stored = loop {
        let message = router.receive(WAIT_MAX).unwrap();
        let mut events = message.events.into_iter();
        if let Some(stored) =
            events.find(|e| e.as_array().unwrap()[0].as_str() == Some("BlockStored"))
        {
            break stored;
        }
    };
    let expected = vec![
        Value::from("BlockStored"),
        Value::Array(vec![Value::from(7)]),
        Value::Nil,
        Value::Array(Vec::new()),
        Value::from(0),
        Value::Nil,
        Value::from("CPU"),
        Value::Nil,
    ];
    assert_eq!(stored, Value::Array(expected));
}

#[test]
fn a_daemon_connects_to_a_router_that_listens_and_again_when_it_was_gone() {
    let runtime = Runtime::new().unwrap();
    let listen = |address: String| async move {
        let mut socket = SubSocket::new();
        // The socket before it may still be on its way out.
        let bound = async {
            loop {
                match socket.bind(&address).await {
                    Ok(endpoint) => break endpoint,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let endpoint = timeout(WAIT_MAX, bound).await.unwrap();
        socket.subscribe("").await.unwrap();
        (socket, endpoint.to_string())
    };
    let (mut socket, endpoint) =
        runtime.block_on(listen(format!("tcp://127.0.0.1:{}", free_port())));
    let daemon = publishing(|config| {
        config.events_endpoint = Some(EventsEndpoint::Connect(endpoint.clone()));
        config.events_replay_endpoint = None;
    });
    let mut numbers = 0..100;
    // Batches from before the connection do not come.
    let mut first = |socket: &mut SubSocket| {
        numbers.by_ref().find_map(|number| {
            daemon.put(&key(number), b"abc");
            let frames = runtime.block_on(async { timeout(QUIET, socket.recv()).await });
            frames.ok().map(|frames| frames.unwrap().into_vec().len())
        })
    };
    assert_eq!(first(&mut socket), Some(3));
    assert!(runtime.block_on(socket.close()).is_empty());
    let (mut socket, _) = runtime.block_on(listen(endpoint));
    assert_eq!(first(&mut socket), Some(3));
}

#[test]
fn a_header_that_is_too_long_is_refused_whether_or_not_events_are_published() {
    for daemon in [Daemon::start(), publishing(|_| {})] {
        let mut wire = daemon.wire();
        for (len, status) in
            [(8_192, if daemon.events_addresses().0.is_some() { 400 } else { 200 }), (8_193, 400)]
        {
            wire.send(format!(
                "PUT /v1/kv/b/k{len} HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nkvlease-blocks: {}\r\n\r\n1",
                "0".repeat(len)
            ));
            assert_eq!(wire.reply().status, status, "{len}");
        }
    }
}

/// First bytes of a subscriber to everything: the greeting of ZMTP 3.0 without security, READY, and the
/// subscription.
fn subscription() -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0];
    bytes.extend(b"NULL");
    bytes.resize(64, 0);
    let ready = b"\x05READY\x0bSocket-Type\0\0\0\x03SUB";
    bytes.extend([4, u8::try_from(ready.len()).unwrap()]);
    bytes.extend(ready);
    bytes.extend([0, 1, 1]);
    bytes
}

#[test]
fn a_router_that_takes_nothing_is_disconnected_and_others_go_on() {
    let daemon = publishing(|config| config.events_memory_max = ByteSize::kib(64));
    let (publish, _) = daemon.events_addresses();
    let mut stopped = Wire::open_with_small_window(publish.unwrap());
    stopped.send(subscription());
    // Tokens that fill the sockets, and then the queue.
    let tokens = ["70000"; 1_200].join(",");
    let mut wire = daemon.wire();
    for number in 0..1_700 {
        wire.send(format!(
            "PUT /v1/kv/b/k HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nkvlease-blocks: \
             {{\"hashes\":[{number}],\"block_size\":1200,\"tokens\":[{tokens}]}}\r\n\r\n1"
        ));
        assert_eq!(wire.reply().status, 200);
        assert_eq!(wire.call("DELETE", "/v1/kv/b/k").status, 200);
    }
    // Others are served.
    let mut late = Router::connect(&daemon);
    daemon.put(&key(99), b"1");
    while !late.blocks.contains(&Hash::Unsigned(99)) {
        let message = late.receive(WAIT_MAX).expect("others are served");
        late.apply(&message);
    }
    // What was on the way, and the end.
    assert!(!stopped.rest().is_empty());
}
