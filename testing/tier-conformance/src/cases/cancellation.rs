//! Calls whose answers are dropped before they are there.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use kvlease_tier::{Answer, Loaded, Tier, TierError};
use tokio::time;

use super::contents::LONG;
use crate::{
    calls::{POLL, expect_all_here, expect_here, load_or_absent, store, until},
    destination::{Delivered, Delivery, MemoryDestination},
    sample::Sample,
    source::MemorySource,
    store::{NotPossible, Store},
};

/// Time within which a tier releases what belongs to a call that was dropped.
pub(super) const RELEASED_WITHIN: Duration = Duration::from_secs(15);

/// Time that a piece takes where a case has to come in between.
pub(super) const PIECE_PAUSE: Duration = Duration::from_millis(3);

/// The point at which a call is dropped: after this many polls, and this long after the first.
pub(super) const CUTS: [(usize, Duration); 10] = [
    (0, Duration::ZERO),
    (1, Duration::ZERO),
    (2, Duration::ZERO),
    (3, Duration::ZERO),
    (7, Duration::ZERO),
    (usize::MAX, Duration::from_micros(50)),
    (usize::MAX, Duration::from_micros(300)),
    (usize::MAX, Duration::from_millis(1)),
    (usize::MAX, Duration::from_millis(3)),
    (usize::MAX, Duration::from_millis(10)),
];

/// A load that is dropped discards its destination, unless it has completed it.
pub(super) async fn cancelled_loads(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let sample = Sample::new("bucket", "key", 1, LONG);
    store(&*tier, &sample).await;
    for cut in CUTS {
        let (destination, delivery) = MemoryDestination::new(sample.stat().len.bytes());
        let load = tier.load(sample.name(), sample.stat(), destination);
        let ended = cut_off(load, cut).await;
        released_whole_or_not(&delivery, &sample).await;
        if let Some(answer) = ended {
            delivery.verify(&sample, &answer);
        }
    }
    // Once a byte was written: dropped in the middle of the object, wherever that can be.
    let len = sample.stat().len.bytes();
    let (destination, delivery) = MemoryDestination::with_pause(len, PIECE_PAUSE);
    {
        let load = tier.load(sample.name(), sample.stat(), destination);
        tokio::select! {
            _ = load => {}
            () = written(&delivery) => {}
        }
    }
    released_whole_or_not(&delivery, &sample).await;
    expect_here(&*tier, &sample).await;
    Ok(())
}

async fn written(delivery: &Delivery) {
    while delivery.written() == 0 {
        time::sleep(Duration::from_micros(50)).await;
    }
}

/// Waits until the tier has dropped the destination; one that it completed has the right bytes.
pub(super) async fn released_whole_or_not(delivery: &Delivery, sample: &Sample) {
    let what = "the destination of a load that was dropped is released";
    until(what, RELEASED_WITHIN, || !delivery.is_open()).await;
    if let Delivered::Complete(bytes) = delivery.delivered() {
        sample.verify(&bytes);
    }
}

/// A store that is dropped leaves the whole object, or none, and drops its source.
pub(super) async fn cancelled_stores(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let mut samples = Vec::new();
    for (number, cut) in CUTS.into_iter().enumerate() {
        let sample = Sample::new("bucket", &format!("key-{number}"), 1, LONG);
        let source = MemorySource::of(&sample);
        let progress = source.progress();
        let stored = cut_off(tier.store(sample.object(), Box::new(source)), cut).await;
        let what = "the source of a store that was dropped is released";
        until(what, RELEASED_WITHIN, || progress.is_dropped()).await;
        for _ in 0..3 {
            let loaded = load_or_absent(&*tier, &sample).await;
            let is_stored = matches!(stored, Some(Ok(_)));
            assert!(!is_stored || loaded == Loaded::Complete, "stored, and not there");
            time::sleep(POLL).await;
        }
        samples.push(sample);
    }
    // What was left of them is in the way of nothing.
    for sample in &samples {
        store(&*tier, sample).await;
        expect_here(&*tier, sample).await;
    }
    Ok(())
}

/// Look-ups, removals and listings that are dropped do no harm.
pub(super) async fn cancelled_other_calls(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let sample = |number: usize| Sample::new("bucket", &format!("key-{number}"), 1, 1000);
    let samples: Vec<_> = (0..20).map(sample).collect();
    for sample in &samples {
        store(&*tier, sample).await;
    }
    let keys: Vec<_> = samples.iter().map(Sample::key).collect();
    for cut in CUTS {
        drop(cut_off(tier.find("bucket", &keys), cut).await);
        drop(cut_off(tier.list("bucket", "", None, 5), cut).await);
        drop(cut_off(tier.remove("bucket", &["absent"]), cut).await);
    }
    expect_all_here(&*tier, &samples).await;
    removals_that_are_dropped(&*tier, &samples).await;
    Ok(())
}

/// Each removal is as a whole or not at all, object by object, and a store brings the object back.
async fn removals_that_are_dropped(tier: &dyn Tier, samples: &[Sample]) {
    for (sample, cut) in samples.iter().zip(CUTS) {
        drop(cut_off(tier.remove(sample.bucket(), &[sample.key()]), cut).await);
        load_or_absent(tier, sample).await;
    }
    expect_all_here(tier, &samples[CUTS.len()..]).await;
}

/// Polls a call until it is answered, or until the cut; then drops it.
async fn cut_off<T>(
    mut call: Answer<'_, T>,
    (polls, after): (usize, Duration),
) -> Option<Result<T, TierError>> {
    let mut left = polls;
    let mut late = pin!(async move {
        match polls {
            usize::MAX => time::sleep(after).await,
            // The cut is by polls; calls that need fewer wake-ups than that are dropped later.
            _ => time::sleep(Duration::from_millis(100)).await,
        }
    });
    poll_fn(|context| {
        if left == 0 || late.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        left -= 1;
        call.as_mut().poll(context).map(Some)
    })
    .await
}
