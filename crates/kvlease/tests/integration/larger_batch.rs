//! Batches that are larger than the arena, whose objects come from the tier below it.

use std::time::Instant;

use kvlease_client::{Connector, Error, ExternalBuffer, Key, OpenObject, PutBody};
use kvlease_harness::{Daemon, SOON, await_that};
use kvlease_testing::bytes;
use tempfile::TempDir;

use crate::{
    program::{client_of, connector_of, launch},
    tier_on_disk::{disk, settings},
};

/// Objects of 1 MiB, three times what the arena holds.
const OBJECTS: usize = 48;
const OBJECT_LEN: usize = 1 << 20;
const ARENA: &str = "16MiB";

fn key(number: usize) -> Key {
    Key::new(format!("org/model@1@0@{number:x}@half")).unwrap()
}

fn content(number: usize) -> Vec<u8> {
    bytes(OBJECT_LEN, number as u64)
}

/// A connector on the fast lane, and its daemon, whose tier has all objects.
async fn filled(disk: &TempDir) -> (Daemon, Connector, Vec<Key>) {
    let launch = launch().capacity(ARENA).set(settings(disk)).set(["tier.nvme.write_through=all"]);
    let daemon = Daemon::start(launch).unwrap();
    let mut config = connector_of(client_of(&daemon));
    // Longer than loads take on a disk that is held up.
    config.lease_wait = SOON;
    let connector = Connector::new(config);
    let keys: Vec<Key> = (0..OBJECTS).map(key).collect();
    for (number, key) in keys.iter().enumerate() {
        connector.put(key, PutBody::from(content(number))).await.unwrap();
        // An object that leaves before it was copied is lost.
        let copied = || daemon.metric("kvlease_tier_objects{tier=\"nvme\"}").unwrap();
        await_that("the object is in the tier", || copied() == (number + 1) as f64);
    }
    assert!(connector.is_fast());
    (daemon, connector, keys)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_larger_than_the_arena_is_read_whole_in_one_call() {
    let disk = disk();
    let (daemon, connector, mut keys) = filled(&disk).await;
    keys.insert(7, Key::new("absent").unwrap());
    let read = connector.batched_get(&keys).await;
    let mut read: Vec<_> = read.into_iter().map(Result::unwrap).collect();
    assert!(keys.remove(7).as_str() == "absent" && read.remove(7).is_none());
    assert!(read.into_iter().enumerate().all(|(number, read)| read.unwrap() == content(number)));
    let stats = connector.stats();
    assert_eq!((stats.hits, stats.misses), (OBJECTS as u64, 1));
    assert!(daemon.metric("kvlease_tier_hits_total{tier=\"nvme\"}").unwrap() > 0.0);
    // A look-up that leases finds all, with or without room for them, and reads follow it.
    assert!(connector.prefetch_leases(&keys).await.into_iter().all(Result::unwrap));
    let leased = connector.stats().cached_leases;
    assert!(leased > 0 && leased < OBJECTS as u64, "{leased}");
    let (buffers, memories): (Vec<_>, Vec<_>) =
        (0..OBJECTS).map(|_| ExternalBuffer::of_vec(vec![0; OBJECT_LEN])).unzip();
    let objects = keys.iter().cloned().zip(buffers).collect();
    assert!(connector.batched_get_into(objects).await.into_iter().all(Result::unwrap));
    let mut memories = memories.into_iter().enumerate();
    assert!(memories.all(|(number, memory)| memory.take_back().unwrap() == content(number)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_room_beside_open_objects_comes_when_they_were_read() {
    let disk = disk();
    let (_daemon, connector, keys) = filled(&disk).await;
    let (mut wanted, mut rounds) = ((0..OBJECTS).collect::<Vec<_>>(), 0);
    let mut last = Instant::now();
    while !wanted.is_empty() {
        let asked: Vec<Key> = wanted.iter().map(|number| keys[*number].clone()).collect();
        let opened = connector.batched_peek(&asked, 0).await;
        let (mut late, mut came) = (Vec::new(), 0);
        for (number, opened) in wanted.into_iter().zip(opened) {
            match opened {
                Err(Error::StillWriting { .. }) => late.push(number),
                opened => {
                    assert!(rest(opened.unwrap().unwrap()) == content(number), "{number}");
                    came += 1;
                }
            }
        }
        // A round may end before the disk has answered.
        if came > 0 {
            last = Instant::now();
        }
        assert!(last.elapsed() < SOON, "round {rounds} brought nothing");
        (wanted, rounds) = (late, rounds + 1);
    }
    assert!(rounds > 1, "the arena has room for a third of the objects");
}

fn rest(object: OpenObject) -> Vec<u8> {
    let (mut buffer, memory) = ExternalBuffer::of_vec(vec![0; OBJECT_LEN]);
    object.read_rest_here(&mut buffer).unwrap();
    drop(buffer);
    memory.take_back().unwrap()
}
