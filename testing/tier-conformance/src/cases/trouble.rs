//! Stores that are stopped, slow or full.

use std::{sync::Arc, time::Duration};

use kvlease_tier::{Loaded, Tier, TierError};
use tokio::{task, time};

use super::{
    cancellation::{PIECE_PAUSE, RELEASED_WITHIN, released_whole_or_not},
    contents::LONG,
};
use crate::{
    calls::{POLL, expect_here, load_or_absent, store, store_all, try_load, try_store, until},
    destination::{Delivery, MemoryDestination},
    sample::Sample,
    source::MemorySource,
    store::{NotPossible, Store},
};

/// Time that a caller gives a store that is stopped.
const DEADLINE: Duration = Duration::from_secs(3);

/// Time that a caller gives a store that goes on: one of many tries.
const TRY: Duration = Duration::from_secs(20);

/// Delay of a slow store: longer than all that does not ask it.
const SLOW: Duration = Duration::from_secs(20);

/// Time within which a tier serves again once the store does.
const WELL_WITHIN: Duration = Duration::from_secs(120);

/// A store that is stopped: no call says more than it knows, and none blocks its caller's thread.
pub(super) async fn stopped_store(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let kept = Sample::new("bucket", "kept", 1, 5000);
    let new = Sample::new("bucket", "new", 1, 5000);
    store(&*tier, &kept).await;
    subject.stop().await?;
    let keys = [kept.key()];
    assert_stopped("find", time::timeout(DEADLINE, tier.find("bucket", &keys)).await);
    assert_stopped("list", time::timeout(DEADLINE, tier.list("bucket", "", None, 10)).await);
    assert_stopped("remove", time::timeout(DEADLINE, tier.remove("bucket", &["none"])).await);
    let source = Box::new(MemorySource::of(&new));
    assert_stopped("store", time::timeout(DEADLINE, tier.store(new.object(), source)).await);
    let (destination, delivery) = MemoryDestination::new(kept.stat().len.bytes());
    let load = tier.load(kept.name(), kept.stat(), destination);
    assert_stopped("load", time::timeout(DEADLINE, load).await);
    released_whole_or_not(&delivery, &kept).await;
    expect_answers_without_asking(&tier).await;
    subject.start().await?;
    expect_well(&*tier, "after-the-stop").await;
    load_when_well(&*tier, &kept).await;
    load_when_well(&*tier, &new).await;
    Ok(())
}

/// A stop in the middle of a load.
pub(super) async fn stopped_during_a_load(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let sample = Sample::new("bucket", "key", 1, LONG);
    store(&*tier, &sample).await;
    let len = sample.stat().len.bytes();
    let (destination, delivery) = MemoryDestination::with_pause(len, PIECE_PAUSE);
    let load = {
        let (tier, sample) = (Arc::clone(&tier), sample.clone());
        tokio::spawn(async move {
            let load = tier.load(sample.name(), sample.stat(), destination);
            time::timeout(DEADLINE, load).await
        })
    };
    begun(&delivery).await;
    subject.stop().await?;
    let answer = load.await.expect("the load does not panic");
    released_whole_or_not(&delivery, &sample).await;
    match answer {
        Err(_) | Ok(Ok(Loaded::Complete)) => {}
        Ok(Err(error)) => assert!(error.is_of_tier(), "the tier is in trouble: {error:?}"),
        Ok(Ok(Loaded::Absent)) => panic!("the object is not absent, its store is stopped"),
    }
    subject.start().await?;
    expect_well(&*tier, "after-the-stop").await;
    load_when_well(&*tier, &sample).await;
    Ok(())
}

async fn begun(delivery: &Delivery) {
    let some = async {
        while delivery.is_open() && delivery.written() == 0 {
            time::sleep(Duration::from_micros(50)).await;
        }
    };
    // A tier that writes all at its end is stopped somewhere else, which is as good.
    let _: Result<(), _> = time::timeout(Duration::from_millis(20), some).await;
}

/// A stop in the middle of a store: the object is there as a whole or not at all.
pub(super) async fn stopped_during_a_store(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    for round in 0..3 {
        let sample = Sample::new("bucket", &format!("round-{round}"), 1, LONG);
        let storing = {
            let (tier, sample) = (Arc::clone(&tier), sample.clone());
            tokio::spawn(async move {
                let source = Box::new(MemorySource::of(&sample).with_pause(PIECE_PAUSE));
                time::timeout(DEADLINE, tier.store(sample.object(), source)).await
            })
        };
        time::sleep(Duration::from_millis(4 * round)).await;
        subject.stop().await?;
        let stored = storing.await.expect("the store does not panic");
        if let Ok(Err(error)) = &stored {
            assert!(error.is_of_tier(), "the tier is in trouble: {error:?}");
        }
        subject.start().await?;
        expect_well(&*tier, &format!("after-stop-{round}")).await;
        load_when_well(&*tier, &sample).await;
        store_when_well(&*tier, &sample).await;
        expect_here(&*tier, &sample).await;
    }
    Ok(())
}

/// A slow store: a caller that does not wait gives up, and nothing else waits.
pub(super) async fn slow_store(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let kept = Sample::new("bucket", "kept", 1, 5000);
    let new = Sample::new("bucket", "new", 1, 5000);
    store(&*tier, &kept).await;
    subject.slow(SLOW).await?;
    let wait = Duration::from_millis(300);
    let (destination, delivery) = MemoryDestination::new(kept.stat().len.bytes());
    let load = time::timeout(wait, tier.load(kept.name(), kept.stat(), destination)).await;
    // A tier that was held up has reached its own time limit by then.
    let in_time = matches!(load, Ok(Ok(_)));
    assert!(!in_time, "the hook delays nothing, or a poll blocks its thread: {load:?}");
    released_whole_or_not(&delivery, &kept).await;
    let source = MemorySource::of(&new);
    let progress = source.progress();
    let stored = time::timeout(wait, tier.store(new.object(), Box::new(source))).await;
    let in_time = matches!(stored, Ok(Ok(_)));
    assert!(!in_time, "the hook delays nothing, or a poll blocks its thread: {stored:?}");
    let what = "the source of a store that was dropped is released";
    until(what, RELEASED_WITHIN, || progress.is_dropped()).await;
    let keys = [kept.key()];
    let found = time::timeout(wait, tier.find("bucket", &keys)).await;
    if let Ok(found) = found {
        let is_right = matches!(&found, Ok(found) if found[..] == [Some(kept.stat())]);
        assert!(is_right, "a tier that answers by itself is right: {found:?}");
    }
    expect_answers_without_asking(&tier).await;
    subject.slow(Duration::ZERO).await?;
    expect_well(&*tier, "after-the-delay").await;
    load_when_well(&*tier, &new).await;
    load_when_well(&*tier, &kept).await;
    expect_here(&*tier, &kept).await;
    Ok(())
}

/// A store without room says so, keeps what it has, and takes objects again later.
pub(super) async fn full_store(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let kept = Sample::new("bucket", "kept", 1, 70_000);
    store(&*tier, &kept).await;
    subject.fill().await?;
    let sample = |number: usize| Sample::new("bucket", &format!("key-{number}"), 1, 2 << 20);
    let samples: Vec<_> = (0..4).map(sample).collect();
    for sample in &samples {
        let stored = try_store(&*tier, sample).await;
        let is_known = matches!(stored, Ok(_) | Err(TierError::Full));
        assert!(is_known, "a store without room: {stored:?}");
        let loaded = load_or_absent(&*tier, sample).await;
        let is_there = loaded == Loaded::Complete;
        assert_eq!(stored.is_ok(), is_there, "store=`{stored:?}` load=`{loaded:?}`");
    }
    load_or_absent(&*tier, &kept).await;
    subject.relieve().await?;
    expect_well(&*tier, "after-the-fill").await;
    store_all(&*tier, &samples).await;
    expect_here(&*tier, &samples[0]).await;
    Ok(())
}

/// Answers that a tier knows by itself come at once.
async fn expect_answers_without_asking(tier: &Arc<dyn Tier>) {
    let tier = Arc::clone(tier);
    let asked = task::spawn_blocking(move || {
        tier.presence("bucket", "kept");
        tier.usage();
        tier.place();
    });
    let answered = time::timeout(DEADLINE, asked).await;
    answered.expect("presence and usage ask no store").expect("they do not panic");
}

/// Waits until the tier stores and loads again, as it does by itself.
async fn expect_well(tier: &dyn Tier, key: &str) {
    let sample = Sample::new("well", key, 1, 5000);
    store_when_well(tier, &sample).await;
    let loaded = load_when_well(tier, &sample).await;
    assert_eq!(loaded, Loaded::Complete, "stored, and not there");
}

/// Stores an object once the tier can: of a store of several nodes each may come back by itself.
async fn store_when_well(tier: &dyn Tier, sample: &Sample) {
    let stored = async {
        while !is_well("store", time::timeout(TRY, try_store(tier, sample)).await) {
            time::sleep(POLL).await;
        }
    };
    let came = time::timeout(WELL_WITHIN, stored).await;
    came.unwrap_or_else(|_| panic!("the tier does not store within {WELL_WITHIN:?}"));
}

/// Loads an object, or finds it absent, once the tier can.
async fn load_when_well(tier: &dyn Tier, sample: &Sample) -> Loaded {
    let loaded = async {
        while !is_well("load", time::timeout(TRY, try_load(tier, sample)).await) {
            time::sleep(POLL).await;
        }
    };
    let came = time::timeout(WELL_WITHIN, loaded).await;
    came.unwrap_or_else(|_| panic!("the tier does not load within {WELL_WITHIN:?}"));
    load_or_absent(tier, sample).await
}

/// False for an answer that a store may give until it is well.
fn is_well<T: std::fmt::Debug>(
    call: &str,
    answer: Result<Result<T, TierError>, time::error::Elapsed>,
) -> bool {
    let Ok(Err(error)) = &answer else { return answer.is_ok() };
    let is_trouble = error.is_of_tier() || matches!(error, TierError::Full);
    assert!(is_trouble, "{call}, after the trouble: {error:?}");
    false
}

fn assert_stopped<T: std::fmt::Debug>(
    call: &str,
    answer: Result<Result<T, TierError>, time::error::Elapsed>,
) {
    match answer {
        Err(_) => {}
        Ok(Err(error)) => assert!(error.is_of_tier(), "{call}, the store is stopped: {error:?}"),
        Ok(Ok(answer)) => panic!("{call} answers {answer:?}, and its store is stopped"),
    }
}
