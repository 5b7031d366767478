//! Calls at the same time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kvlease_testing::Draws;
use kvlease_tier::{Loaded, Presence, Tier};
use tokio::time;

use super::contents::LONG;
use crate::{
    calls::{
        ANSWERED_WITHIN, at_once, expect_all_here, expect_here, find, load_or_absent, remove,
        store, try_load, try_store, until,
    },
    sample::Sample,
    store::{NotPossible, Store},
};

const WRITERS: usize = 8;
const READERS: usize = 3;
const NAMES: usize = 64;
const CALLS: usize = 120;

/// Several writers of one name: the object is there, whole.
pub(super) async fn writers_of_one_name(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    for len in [0, 5000, 3 << 20] {
        let sample = Sample::new("bucket", &format!("of-{len}"), 1, len);
        let write = |_| {
            let (tier, sample) = (Arc::clone(&tier), sample.clone());
            async move {
                store(&*tier, &sample).await;
                expect_here(&*tier, &sample).await;
            }
        };
        at_once((0..WRITERS).map(write)).await;
        expect_here(&*tier, &sample).await;
    }
    Ok(())
}

/// Several writers of names of their own, all of the same length.
pub(super) async fn writers_of_many_names(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let sample = |number: usize| Sample::new("bucket", &format!("key-{number}"), 1, 100_000);
    let samples: Vec<_> = (0..NAMES).map(sample).collect();
    let writes = samples.chunks(NAMES / WRITERS).map(|part| {
        let (tier, part) = (Arc::clone(&tier), part.to_vec());
        async move {
            for sample in &part {
                store(&*tier, sample).await;
            }
        }
    });
    at_once(writes).await;
    let reads = samples.chunks(NAMES / WRITERS).map(|part| {
        let (tier, part) = (Arc::clone(&tier), part.to_vec());
        async move { expect_all_here(&*tier, &part).await }
    });
    at_once(reads).await;
    Ok(())
}

/// While an object is stored, readers see it as a whole or not at all.
pub(super) async fn readers_during_a_store(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    for round in 0..4 {
        let sample = Sample::new("bucket", &format!("round-{round}"), 1, LONG);
        let is_stored = Arc::new(AtomicBool::new(false));
        let read = |_| {
            let (tier, sample) = (Arc::clone(&tier), sample.clone());
            let is_stored = Arc::clone(&is_stored);
            async move { read_until_stored(&*tier, &sample, &is_stored).await }
        };
        let readers = tokio::spawn(at_once((0..READERS).map(read).collect::<Vec<_>>()));
        store(&*tier, &sample).await;
        is_stored.store(true, Ordering::Release);
        readers.await.expect("the readers see the object whole or not at all");
    }
    Ok(())
}

async fn read_until_stored(tier: &dyn Tier, sample: &Sample, is_stored: &AtomicBool) {
    loop {
        let was_stored = is_stored.load(Ordering::Acquire);
        let presence = tier.presence(sample.bucket(), sample.key());
        if let Presence::Here(stat) = presence {
            assert_eq!(stat, sample.stat(), "presence");
        }
        let stat = find(tier, sample).await;
        assert!(stat.is_none_or(|stat| stat == sample.stat()), "find: {stat:?}");
        let loaded = load_or_absent(tier, sample).await;
        let is_found = stat.is_some() || matches!(presence, Presence::Here(_));
        assert!(!is_found || loaded == Loaded::Complete, "found, and not there: {presence:?}");
        if was_stored {
            assert_eq!(loaded, Loaded::Complete, "it is stored");
            return;
        }
        time::sleep(Duration::from_micros(200)).await;
    }
}

/// While an object is removed and stored again and again, with other bytes each time, a load is whole
/// or not complete.
pub(super) async fn readers_during_removals(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let mut versions = vec![Sample::new("bucket", "key", 1, 2 << 20)];
    for _ in 0..5 {
        versions.extend(versions.last().map(Sample::next_version));
    }
    let (is_over, passes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let read = |_| {
        let (tier, versions) = (Arc::clone(&tier), versions.clone());
        let (is_over, passes) = (Arc::clone(&is_over), Arc::clone(&passes));
        async move {
            while !is_over.load(Ordering::Acquire) {
                for sample in &versions {
                    let loaded = try_load(&*tier, sample).await;
                    let of_tier = loaded.as_ref().is_err_and(|error| error.is_of_tier());
                    assert!(!of_tier, "no trouble of the tier: {loaded:?}");
                }
                passes.fetch_add(1, Ordering::AcqRel);
                time::sleep(Duration::from_micros(200)).await;
            }
        }
    };
    let readers = tokio::spawn(at_once((0..READERS).map(read).collect::<Vec<_>>()));
    for sample in &versions {
        store(&*tier, sample).await;
        // One reader at least has tried all versions while this one was there.
        let enough = passes.load(Ordering::Acquire) + 2 * READERS;
        let has_read = || readers.is_finished() || passes.load(Ordering::Acquire) > enough;
        until("the readers read", ANSWERED_WITHIN, has_read).await;
        remove(&*tier, sample.bucket(), &[sample.key()]).await;
    }
    is_over.store(true, Ordering::Release);
    readers.await.expect("the readers see whole objects only");
    Ok(())
}

/// Calls by random choice from several tasks on few names: no wrong byte, and an order at the end.
pub(super) async fn calls_in_any_order(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let seed = kvlease_testing::test_seed(3);
    let sample = |number: usize| {
        let len = [0, 1, 4096, 70_000, 1 << 20][number % 5];
        Sample::new(["a", "b"][number % 2], &format!("key-{number}"), 1, len)
    };
    let samples: Vec<_> = (0..10).map(sample).collect();
    let task = |party: usize| {
        let (tier, samples) = (Arc::clone(&tier), samples.clone());
        async move { call_at_random(&*tier, &samples, Draws::of(seed, party as u64)).await }
    };
    at_once((0..WRITERS).map(task)).await;
    for sample in &samples {
        store(&*tier, sample).await;
    }
    expect_all_here(&*tier, &samples).await;
    Ok(())
}

async fn call_at_random(tier: &dyn Tier, samples: &[Sample], mut draws: Draws) {
    for _ in 0..CALLS {
        let sample = draws.pick(samples).expect("there are samples");
        match draws.below(8) {
            0..3 => {
                let stored = try_store(tier, sample).await;
                assert!(stored.is_ok(), "{:?}: {stored:?}", sample.object());
            }
            3..6 => drop(load_or_absent(tier, sample).await),
            6 => {
                let stat = find(tier, sample).await;
                assert!(stat.is_none_or(|stat| stat == sample.stat()), "find: {stat:?}");
            }
            _ => drop(remove(tier, sample.bucket(), &[sample.key()]).await),
        }
    }
}
