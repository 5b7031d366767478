//! Ends of a tier, and the tier that is opened after them.

use std::{sync::Arc, time::Duration};

use kvlease_tier::{Loaded, TierError};
use tokio::time;

use super::{contents::LONG, removal::reopened};
use crate::{
    calls::{
        answered, close, expect_all_here, expect_here, load_or_absent, released, store, store_all,
        try_load, try_store,
    },
    destination::MemoryDestination,
    sample::Sample,
    source::MemorySource,
    store::{NotPossible, ROOM_MIN, Store},
};

/// The largest capacity that the case with more objects than room goes through.
const CAPACITY_MAX: u64 = 4 * ROOM_MIN;

/// After the close all calls fail, and say so.
pub(super) async fn closed_tier(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let sample = Sample::new("bucket", "key", 1, 5000);
    store(&*tier, &sample).await;
    close(Arc::clone(&tier)).await;
    let keys = [sample.key()];
    assert_closed("find", answered("find", tier.find("bucket", &keys)).await);
    assert_closed("list", answered("list", tier.list("bucket", "", None, 10)).await);
    let source = Box::new(MemorySource::of(&sample));
    assert_closed("store", answered("store", tier.store(sample.object(), source)).await);
    let (destination, delivery) = MemoryDestination::new(sample.stat().len.bytes());
    let load = tier.load(sample.name(), sample.stat(), destination);
    let answer = answered("load", load).await;
    released(&delivery).await;
    delivery.verify(&sample, &answer);
    assert_closed("load", answer);
    assert_closed("remove", answered("remove", tier.remove("bucket", &keys)).await);
    // Neither panics, and a second close ends too.
    tier.presence("bucket", "key");
    tier.usage();
    drop(answered("close", tier.close()).await);
    Ok(())
}

fn assert_closed<T: std::fmt::Debug>(call: &str, answer: Result<T, TierError>) {
    assert!(matches!(answer, Err(TierError::Closed)), "{call}, of a closed tier: {answer:?}");
}

/// A close while calls are under way: each is answered or fails, and what was stored is there.
pub(super) async fn close_during_calls(subject: &dyn Store) -> Result<(), NotPossible> {
    subject.durable()?;
    let sample = |number: usize| Sample::new("bucket", &format!("key-{number}"), 1, 3 << 20);
    let samples: Vec<_> = (0..6).map(sample).collect();
    let before = Sample::new("bucket", "before", 1, 7000);
    let tier = subject.open().await;
    store(&*tier, &before).await;
    let calls = samples.iter().cloned().map(|sample| {
        let tier = Arc::clone(&tier);
        tokio::spawn(async move {
            let source = Box::new(MemorySource::of(&sample));
            let stored = answered("store", tier.store(sample.object(), source)).await;
            let loaded = try_load(&*tier, &sample).await;
            let is_known = matches!(loaded, Ok(Loaded::Complete) | Err(TierError::Closed))
                || stored.is_err() && loaded.is_ok();
            assert!(is_known, "stored=`{stored:?}` loaded=`{loaded:?}`");
            stored.is_ok().then_some(sample)
        })
    });
    let calls: Vec<_> = calls.collect();
    time::sleep(Duration::from_millis(2)).await;
    close(Arc::clone(&tier)).await;
    let mut stored = vec![before];
    for call in calls {
        stored.extend(call.await.expect("the calls end as they should"));
    }
    drop(tier);
    let tier = subject.open().await;
    expect_all_here(&*tier, &stored).await;
    for sample in &samples {
        load_or_absent(&*tier, sample).await;
    }
    Ok(())
}

/// A tier that is opened after a close has what was stored.
pub(super) async fn reopened_after_close(subject: &dyn Store) -> Result<(), NotPossible> {
    subject.durable()?;
    let samples = of_all_lengths();
    let mut tier = subject.open().await;
    store_all(&*tier, &samples).await;
    for round in 0..3 {
        tier = reopened(subject, tier).await;
        expect_all_here(&*tier, &samples).await;
        let more = Sample::new("more", &format!("round-{round}"), 1, 7000);
        store(&*tier, &more).await;
        expect_here(&*tier, &more).await;
    }
    Ok(())
}

/// The same without a close: an object is safe as soon as its store was answered.
pub(super) async fn reopened_without_close(subject: &dyn Store) -> Result<(), NotPossible> {
    subject.durable()?;
    let samples = of_all_lengths();
    let tier = subject.open().await;
    store_all(&*tier, &samples).await;
    drop(tier);
    let tier = subject.open().await;
    expect_all_here(&*tier, &samples).await;
    store_all(&*tier, &samples).await;
    drop(tier);
    expect_all_here(&*subject.open().await, &samples).await;
    Ok(())
}

/// Twice as much as there is room for: each object is there as a whole or not at all, and the tier
/// keeps within its capacity.
pub(super) async fn more_than_it_holds(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let capacity = tier.usage().capacity.map(|capacity| capacity.bytes());
    let Some(capacity) = capacity.filter(|capacity| *capacity <= CAPACITY_MAX) else {
        return Err(NotPossible("given more objects than it has room for"));
    };
    let len = 4 << 20;
    let count = 2 * capacity / len;
    let sample = |number: u64| Sample::new("bucket", &format!("key-{number}"), 1, len as usize);
    for number in 0..count {
        match try_store(&*tier, &sample(number)).await {
            Ok(_) | Err(TierError::Full) => {}
            Err(error) => panic!("object {number} was not stored: {error:?}"),
        }
        let used = tier.usage().used.map_or(0, |used| used.bytes());
        assert!(used <= capacity, "used {used} bytes of {capacity}");
    }
    let mut here = 0;
    for number in 0..count {
        here += u64::from(load_or_absent(&*tier, &sample(number)).await == Loaded::Complete);
    }
    // Half of the room at least is of use.
    assert!(here * len * 2 >= capacity, "{here} objects of {len} bytes are left of {capacity}");
    Ok(())
}

fn of_all_lengths() -> Vec<Sample> {
    let lens = [0, 1, 4095, 4096, 4097, 1 << 20, LONG];
    lens.iter().map(|len| Sample::new("bucket", &format!("of-{len}"), 1, *len)).collect()
}
