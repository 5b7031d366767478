//! The daemon is killed and started again, again and again, while clients read and write over its
//! fast lane.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use kvlease_client::{
    BucketName, ClientConfig, ConnectorConfig, Key, PutOutcome, SocketChoice, blocking,
};
use kvlease_harness::{Daemon, Payload, await_that, unused_address};
use kvlease_testing::{Draws, mix, test_seed};

use crate::fixture::{BUCKET, assert_all_is_free, launch, lease_settings};

const CLIENTS: u64 = 3;
const RESTARTS: usize = 4;

/// How many objects each client reads before the daemon is killed again.
const READS: u64 = 40;

/// Each client has keys of its own: all of them together are more than the arena holds.
const KEYS: u64 = 12;
const LEN_MAX: u64 = 2 << 20;
const CAPACITY: &str = "24MiB";

/// A client that knows what was stored last under each of its keys.
struct Client<'a> {
    connector: blocking::Connector,
    draws: Draws,
    number: u64,
    /// The version stored last under each key; 0 for none that is known.
    versions: Vec<u64>,
    begun: u64,
    reads: &'a AtomicU64,
}

impl Client<'_> {
    fn turn(&mut self) {
        let place = self.draws.below(KEYS) as usize;
        let name = format!("client {} key {place}", self.number);
        let key = Key::new(name.as_str()).unwrap();
        let read = match self.connector.get(&key) {
            Ok(read) => read,
            // The daemon is not there.
            Err(_) => return thread::sleep(Duration::from_millis(5)),
        };
        if let Some(bytes) = read {
            let version = Payload::verify(&name, &bytes).unwrap();
            let last = self.versions[place];
            assert!(last == 0 || version == last, "stale, key=`{name}` {version} for {last}");
            self.reads.fetch_add(1, Relaxed);
            if self.draws.percent(70) {
                return;
            }
        }
        // The result of a call that fails is unknown, as is that of the calls after it.
        self.versions[place] = 0;
        let removed = self.connector.batched_remove(std::slice::from_ref(&key));
        if !removed.is_ok_and(|removed| removed.iter().all(Result::is_ok)) {
            return;
        }
        self.begun += 1;
        let len = 1024 + self.draws.below(LEN_MAX - 1024) as usize;
        let bytes = Payload::new(&name, self.begun, len).bytes();
        if let Ok(PutOutcome::Stored) = self.connector.put(&key, bytes) {
            self.versions[place] = self.begun;
        }
    }
}

fn connector(daemon: &Daemon) -> blocking::Connector {
    let mut config = ClientConfig::new(daemon.url().parse().unwrap());
    config.bucket = BucketName::new(BUCKET).unwrap();
    let mut config = ConnectorConfig::new(config);
    config.socket = SocketChoice::At(daemon.segment().socket_path());
    blocking::Connector::new(config).unwrap()
}

#[test]
fn no_byte_is_wrong_while_the_daemon_is_killed_under_its_clients_and_they_come_back_by_themselves()
{
    let mut settings = lease_settings("2", "0.5").to_vec();
    // Until then a client may write into a reservation of before the kill: its space is not reused.
    settings.push("lease.reservation_ttl_s=2".to_owned());
    // A client takes the lane of the daemon that answers at its address.
    let launch = launch(CAPACITY).listen(unused_address()).set(settings);
    let mut daemon = Daemon::start(launch).unwrap();
    let (seed, ended) = (test_seed(mix(std::process::id().into())), AtomicBool::new(false));
    let reads: Vec<AtomicU64> = (0..CLIENTS).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        let clients: Vec<_> = reads
            .iter()
            .zip(0..)
            .map(|(reads, number)| {
                let connector = connector(&daemon);
                let (draws, versions) = (Draws::of(seed, number), vec![0; KEYS as usize]);
                let mut client = Client { connector, draws, number, versions, begun: 0, reads };
                let ended = &ended;
                scope.spawn(move || {
                    while !ended.load(Relaxed) {
                        client.turn();
                    }
                    client.connector.close().unwrap();
                })
            })
            .collect();
        let read_on = || {
            let before: Vec<_> = reads.iter().map(|reads| reads.load(Relaxed)).collect();
            await_that("every client reads objects", || {
                let wrong = clients.iter().any(|client| client.is_finished());
                wrong || reads.iter().zip(&before).all(|(now, was)| now.load(Relaxed) > was + READS)
            });
            !clients.iter().any(|client| client.is_finished())
        };
        for _ in 0..RESTARTS {
            if !read_on() {
                break;
            }
            daemon.kill().unwrap();
            daemon.start_again().unwrap();
        }
        read_on();
        ended.store(true, Relaxed);
    });
    daemon.remove_all(BUCKET).unwrap();
    assert_all_is_free(&daemon);
}
