//! Starts, one after the other: none takes room that objects need, and each may be cut off.

use kvlease_testing::Draws;
use kvlease_tier::{Presence, Stat, Tier};

use super::{
    GEOMETRY,
    fixture::{BUCKET, block_on, bytes, load, object, store},
    memory::{Left, MemoryDevice, Replay},
    open,
};
use crate::NvmeTier;

const LEN: usize = 500;

fn key(number: usize) -> String {
    format!("key-{number}")
}

fn stat(number: usize, len: usize) -> Stat {
    object(&key(number), &bytes(&key(number), 0, len)).stat
}

async fn put(tier: &NvmeTier, number: usize, len: usize) {
    store(tier, &key(number), &bytes(&key(number), 0, len)).await.unwrap();
}

/// Whether the object is there, and right.
fn has(tier: &NvmeTier, number: usize, len: usize) -> bool {
    let loaded = block_on(load(tier, &key(number), stat(number, len))).unwrap();
    assert!(loaded.as_ref().is_none_or(|loaded| *loaded == bytes(&key(number), 0, len)));
    loaded.is_some()
}

#[test]
fn however_often_a_daemon_starts_it_forgets_nothing_that_there_is_room_for() {
    let device = MemoryDevice::new(&GEOMETRY);
    let starts = 5 * GEOMETRY.segments as usize;
    for start in 0..starts {
        let (tier, _) = open(&device);
        // One in three is removed by the next daemon.
        for number in 0..start {
            let is_removed = number % 3 == 0 && number + 1 < start;
            assert_eq!(has(&tier, number, LEN), !is_removed, "start {start}: object {number}");
        }
        block_on(async {
            if start % 3 == 1 {
                tier.remove(BUCKET, &[key(start - 1).as_str()]).await.unwrap();
            }
            put(&tier, start, LEN).await;
            if start % 2 == 0 {
                tier.close().await.unwrap();
            }
        });
    }
}

#[test]
fn a_start_that_is_cut_off_at_any_write_loses_nothing_and_brings_nothing_back() {
    let mut draws = Draws::new(5);
    let lens = [LEN, 5000, 30_000];
    let len = |number: usize| lens[number % lens.len()];
    let device = MemoryDevice::new(&GEOMETRY);
    let (tier, _) = open(&device);
    block_on(async {
        for number in 0..9 {
            put(&tier, number, len(number)).await;
        }
        // The records are in earlier segments than the tombstones.
        tier.remove(BUCKET, &[key(0).as_str(), key(1).as_str()]).await.unwrap();
        put(&tier, 1, len(1)).await;
    });
    drop(tier);
    let before = device.bytes();
    let started = MemoryDevice::with(before.clone());
    drop(open(&started));
    let mut replay = Replay::of(before);
    let mut cuts = 0;
    for event in started.events() {
        replay.apply(&event);
        for left in [Left::All, Left::Nothing, Left::SomeBlocks, Left::SomeBlocks] {
            let device = MemoryDevice::with(replay.image(left, &mut draws));
            for start in 0..2 {
                let (tier, _) = open(&device);
                let at = format!("cut {cuts}, {left:?} left, start {start}");
                assert_eq!(tier.presence(BUCKET, &key(0)), Presence::Absent, "{at}");
                for number in 1..9 {
                    assert!(has(&tier, number, len(number)), "{at}: object {number}");
                }
            }
            cuts += 1;
        }
    }
    assert!(cuts > 20, "only {cuts} cuts");
}
