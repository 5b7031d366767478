//! Calls to a daemon that does not answer: each returns within its time limit, the first and later
//! ones, whatever state the daemon is in.

use std::{
    net::TcpListener,
    os::unix::net::UnixListener,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use kvlease_client::{
    ClientConfig, Connector, ConnectorConfig, Key, PutBody, SocketChoice, Timeouts,
};
use kvlease_testing::bytes;

use tokio::task::JoinSet;

use crate::program::daemon;

/// Time limit of a call.
const CALL: Duration = Duration::from_secs(2);

/// How long a call may take on a busy machine, opening of the lane included. A fall-back that begins
/// a time limit of its own would take twice the limit.
const CALL_WITHIN: Duration = Duration::from_millis(3_800);

fn config(url: &str, socket: SocketChoice) -> ConnectorConfig {
    let mut client = ClientConfig::new(url.parse().unwrap());
    client.timeouts = Timeouts { connect: CALL, call: CALL, transfer: CALL, stall: CALL };
    let mut config = ConnectorConfig::new(client);
    config.lease_wait = CALL / 2;
    config.socket = socket;
    // What the index names is found although the daemon is silent.
    config.index = false;
    config
}

/// A clock that stands still while the machine holds this process up: a thread counts its own short pauses.
fn running_time() -> Duration {
    const PAUSE: Duration = Duration::from_millis(10);
    static PAUSES: AtomicU32 = AtomicU32::new(0);
    static COUNTS: Once = Once::new();
    COUNTS.call_once(|| {
        thread::spawn(|| {
            loop {
                thread::sleep(PAUSE);
                PAUSES.fetch_add(1, Relaxed);
            }
        });
    });
    PAUSE * PAUSES.load(Relaxed)
}

async fn within<T>(what: &str, call: impl Future<Output = T>) -> T {
    let started = running_time();
    let done = call.await;
    let took = running_time() - started;
    assert!(took < CALL_WITHIN, "{what} took {took:?}");
    done
}

/// Makes every call side by side, each with a connector of its own.
async fn every_call_of_each_ends(connectors: Vec<Connector>) {
    let mut calls = JoinSet::new();
    for (which, connector) in connectors.into_iter().enumerate() {
        calls.spawn(async move { call_ends(&connector, which).await });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
}

/// Makes one of the calls, and makes it again with the same connector.
async fn call_ends(connector: &Connector, which: usize) {
    let keys: Vec<Key> = (0..3).map(|number| Key::new(format!("k{number}")).unwrap()).collect();
    let bodies = || keys.iter().map(|key| (key.clone(), PutBody::from(bytes(5_000, 1)))).collect();
    let is_error = |failed: bool, what: &str| assert!(failed, "{what} succeeded");
    for round in ["first", "later"] {
        match which {
            0 => is_error(within("get", connector.get(&keys[0])).await.is_err(), round),
            1 => is_error(within("put", connector.put(&keys[0], "x")).await.is_err(), round),
            2 => is_error(within("exists", connector.exists(&keys[0])).await.is_err(), round),
            3 => is_error(within("ping", connector.ping()).await.is_err(), round),
            4 => is_error(within("list", connector.list("")).await.is_err(), round),
            5 => {
                let read = within("batched_get", connector.batched_get(&keys)).await;
                is_error(read.iter().all(Result::is_err), round);
            }
            6 => {
                let stored = within("batched_put", connector.batched_put(bodies())).await;
                is_error(stored.iter().all(Result::is_err), round);
            }
            7 => {
                let found = within("batched_exists", connector.batched_exists(&keys)).await;
                is_error(found.iter().all(Result::is_err), round);
            }
            _ => within("close", connector.close()).await,
        }
    }
}

const CALLS: usize = 9;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_a_stopped_daemon_end_in_time_over_the_lane_and_over_http() {
    let daemon = daemon();
    let socket = SocketChoice::At(daemon.segment().socket_path());
    // Over HTTP, over a lane that is open, and over a lane that is yet to be opened.
    for (choice, is_open) in [(SocketChoice::Never, true), (socket.clone(), true), (socket, false)]
    {
        let mut connectors = Vec::new();
        for _ in 0..CALLS {
            let connector = Connector::new(config(&daemon.url(), choice.clone()));
            // The daemon may be held up for as long as a call.
            let opens = async || {
                connector.exists(&Key::new("absent").unwrap()).await.is_ok()
                    && connector.is_fast() == (choice != SocketChoice::Never)
            };
            while is_open && !opens().await {}
            connectors.push(connector);
        }
        daemon.stop().unwrap();
        every_call_of_each_ends(connectors).await;
        daemon.resume().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_what_accepts_and_says_nothing_end_in_time() {
    // The kernel accepts for a listener that never does.
    let http = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let _lane = UnixListener::bind(&path).unwrap();
    let url = format!("http://{}", http.local_addr().unwrap());
    for choice in [SocketChoice::Never, SocketChoice::At(path)] {
        let connectors: Vec<_> =
            (0..CALLS).map(|_| Connector::new(config(&url, choice.clone()))).collect();
        every_call_of_each_ends(connectors).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_says_nothing_leaves_calls_to_http() {
    let daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let _lane = UnixListener::bind(&path).unwrap();
    let connector = Connector::new(config(&daemon.url(), SocketChoice::At(path)));
    let key = Key::new("k").unwrap();
    // The daemon may be held up for as long as a call.
    while within("put", connector.put(&key, "bytes")).await.is_err() {}
    let read = loop {
        if let Ok(read) = within("get", connector.get(&key)).await {
            break read;
        }
    };
    assert_eq!(read.unwrap(), b"bytes");
    let absent = Key::new("absent").unwrap();
    while !matches!(within("get", connector.get(&absent)).await, Ok(None)) {}
}
