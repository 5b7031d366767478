//! A tier on disk below a daemon: what left the arena comes back over HTTP, and after a reboot.

use std::path::PathBuf;

use kvlease_api::lane::DoneStatus;
use kvlease_harness::wire::Reply;
use kvlease_server::config::Config;
use kvlease_testing::bytes;
use kvlease_types::ByteSize;
use tempfile::TempDir;

use crate::{
    daemon::{CAPACITY, Daemon},
    lane::client::Client,
};

/// Length of an object: the arena has room for sixteen.
const LEN: usize = 1 << 20;

/// More objects than the arena has room for.
pub(crate) const OBJECTS: usize = 40;

/// Directory of a tier, on the disk that the project is built on: a tmpfs has no direct I/O.
pub(crate) struct Disk(TempDir);

impl Disk {
    pub(crate) fn new() -> Self {
        Self(TempDir::with_prefix_in("tier-", env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// Configures a tier here.
    pub(crate) fn configure(&self, config: &mut Config) {
        config.nvme_path = Some(self.path());
        config.nvme_capacity = Some(ByteSize::mib(128));
        // Tests never depend on how fast the disk is.
        config.nvme_rate_min = None;
    }

    pub(crate) fn daemon(&self) -> Daemon {
        Daemon::with(|config| self.configure(config))
    }
}

pub(crate) fn key(number: usize) -> String {
    format!("k{number}")
}

pub(crate) fn content(number: usize) -> Vec<u8> {
    bytes(LEN, number as u64)
}

pub(crate) fn tier(daemon: &Daemon, metric: &str) -> f64 {
    daemon.metric(&format!("kvlease_tier_{metric}{{tier=\"nvme\"}}"))
}

/// Stores objects, each once there is room for it, and waits for those that left to be on the disk.
pub(crate) fn fill(daemon: &Daemon, numbers: std::ops::Range<usize>) {
    for number in numbers {
        daemon.put(&key(number), &content(number));
        until_room(daemon);
    }
}

/// Waits until there is room for an object, so that nothing is evicted for it that has no copy yet.
pub(crate) fn until_room(daemon: &Daemon) {
    daemon.until("room", |stats| stats.free >= CAPACITY.bytes() / 16);
}

fn get(daemon: &Daemon, number: usize) -> Reply {
    daemon.wire().call("GET", &format!("/v1/kv/b/{}", key(number)))
}

#[test]
fn objects_beyond_the_arena_are_leased_read_and_removed() {
    let disk = Disk::new();
    let daemon = disk.daemon();
    fill(&daemon, 0..OBJECTS);
    assert!(daemon.stats().objects < OBJECTS as u64);
    assert!(tier(&daemon, "stores_total") > 0.0);
    for number in 0..OBJECTS {
        until_room(&daemon);
        let head = daemon.wire().call("HEAD", &format!("/v1/kv/b/{}", key(number)));
        assert_eq!(head.header("content-length"), Some("1048576"), "{number}");
        if number % 2 == 0 {
            let lease = daemon.lease(&key(number));
            assert!(daemon.leased_bytes(&lease) == content(number), "{number}");
            daemon.release(&lease);
        } else {
            let reply = get(&daemon, number);
            assert!(reply.status == 200 && reply.body == content(number), "{number}");
        }
    }
    assert!(tier(&daemon, "hits_total") > 0.0);
    assert_eq!(tier(&daemon, "corrupt_total") + tier(&daemon, "errors_total"), 0.0);
    for number in 0..OBJECTS {
        let reply = daemon.wire().call("DELETE", &format!("/v1/kv/b/{}", key(number)));
        assert_eq!(reply.status, 200, "{number}");
        assert_eq!(get(&daemon, number).status, 404, "{number}");
    }
    assert_eq!(tier(&daemon, "objects"), 0.0);
}

#[test]
fn a_reboot_is_warm_where_the_disk_is_written_through() {
    let disk = Disk::new();
    let through = |config: &mut Config| {
        disk.configure(config);
        config.nvme_write_through = "b".parse().unwrap();
    };
    let mut daemon = Daemon::with(through);
    fill(&daemon, 0..8);
    daemon.eventually("the copies", || tier(&daemon, "objects") == 8.0);
    daemon.begin_shutdown()();
    // The segment went with its directory, as memory does in a reboot.
    drop(daemon);
    let daemon = Daemon::with(through);
    assert_eq!((daemon.stats().objects, tier(&daemon, "objects")), (0, 8.0));
    for number in 0..8 {
        let lease = daemon.lease(&key(number));
        assert!(daemon.leased_bytes(&lease) == content(number), "{number}");
    }
    // A load is counted just after its object is published.
    daemon.eventually("the counts", || tier(&daemon, "hits_total") == 8.0);
    // What came from the disk is not written to it again.
    assert_eq!(tier(&daemon, "stores_total"), 0.0);
}

#[test]
fn a_removal_over_the_lane_for_which_there_is_no_memory_is_to_be_repeated() {
    let disk = Disk::new();
    let daemon = Daemon::with(|config| {
        disk.configure(config);
        config.connection_memory_max = Some(ByteSize::mib(32));
    });
    fill(&daemon, 0..OBJECTS);
    let mut client = Client::writer(&daemon);
    // 1 MiB is for what waits for tiers, and a quarter of it for one connection: less than this request.
    let long = (0..2_000).map(|number| format!("{number:0250}"));
    let names: Vec<_> = [key(0), key(OBJECTS - 1)].into_iter().chain(long).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let removed = client.remove(&names);
    assert_eq!(removed.len(), names.len());
    assert!(
        removed.iter().all(|status| *status == DoneStatus::BeingWritten),
        "{:?}",
        &removed[..2]
    );
    assert!(daemon.metric("kvlease_connection_memory_short_total") >= 1.0);
    assert_eq!(client.remove(&names[..1]), [DoneStatus::Done], "the tier had it still");
    assert_eq!(get(&daemon, 0).status, 404);
}
