//! Huge pages of the arena in the mapping of a client, as the kernel shows them.

use std::{fs, time::Duration};

use kvlease_client::{
    BucketName, ByteSize, DEFAULT_BUCKET, Extent, Key, TrustedUsers,
    lane::{AcquireOutcome, Lane, LanePut},
};
use kvlease_harness::Daemon;
use kvlease_testing::bytes;

use crate::program::launch;

const LIMIT: Duration = Duration::from_secs(60);
const CAPACITY: ByteSize = ByteSize::mib(16);
const OBJECT_LEN: usize = 6 << 20;

/// Part of the mapping that begins at this address that huge pages map, in KiB.
fn huge_kib(start: usize) -> u64 {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let heading = format!("{start:x}-");
    let mapping = smaps.lines().skip_while(|line| !line.starts_with(&heading));
    let line = mapping.skip(1).find_map(|line| line.strip_prefix("ShmemPmdMapped:"));
    let kib = line.expect("a kernel with huge pages for shared memory, and the mapping");
    kib.trim().strip_suffix("kB").unwrap().trim().parse().unwrap()
}

/// Stores an object and reads it, as a client whose mapping has no pages before.
async fn store_and_read(socket: &std::path::Path) {
    let bucket = BucketName::new(DEFAULT_BUCKET).unwrap();
    let open =
        |writes| Lane::open(socket, bucket.clone(), writes, TrustedUsers::default(), 1, LIMIT);
    let (key, object) = (Key::new("org/model@1@0@7@half").unwrap(), bytes(OBJECT_LEN, 7));
    let writer = open(true).await.unwrap();
    let requested = [(&key, ByteSize::new(OBJECT_LEN as u64))];
    let reservation = writer.reserve(&requested, LIMIT).await.unwrap().remove(0).unwrap();
    let checksum = reservation.fill([&object[..]]).unwrap();
    let outcomes = writer.commit(vec![(reservation, checksum)], LIMIT).await.unwrap();
    assert_eq!(outcomes, [LanePut::Stored]);

    let reader = open(false).await.unwrap();
    let keys = std::slice::from_ref(&key);
    let leases = reader.acquire(keys, false, Duration::ZERO, LIMIT, LIMIT).await.unwrap();
    let [AcquireOutcome::Leased(lease)] = &leases[..] else { panic!("it was stored") };
    let mut copy = vec![0; OBJECT_LEN];
    let arena = reader.attachment();
    assert_eq!(arena.copy_out_digested(lease.extents(), &mut copy).unwrap(), checksum);
    assert!(copy == object);
    for arena in [writer.attachment(), arena] {
        let whole = Extent::new(lease.extents()[0].offset, ByteSize::ZERO);
        let at = arena.locate(whole).unwrap() as usize - whole.offset.bytes() as usize;
        // All huge pages that the object covers are mapped by the kernel as such.
        assert!(huge_kib(at) >= 4 << 10, "{} KiB of {CAPACITY}", huge_kib(at));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_pages_of_the_arena_reach_the_mappings_of_clients() {
    for huge in ["always", "advise"] {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("sock");
        let mount = format!("mount -t tmpfs -o huge={huge},size=128m none /dev/shm");
        let launch = launch().capacity(CAPACITY.to_string()).mounted(mount);
        let launch = launch.args(["--socket", socket.to_str().unwrap()]);
        let daemon = Daemon::start(launch).unwrap();
        assert_eq!(
            daemon.metric("kvlease_huge_pages").unwrap(),
            1.0,
            "this test needs huge pages of a tmpfs: transparent_hugepage/shmem_enabled"
        );
        store_and_read(&socket).await;
    }
}
