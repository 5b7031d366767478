//! Calls that the cases make: each with a deadline, and with the checks that always hold.

use std::{panic, sync::Arc, time::Duration};

use kvlease_tier::{Loaded, Presence, Stat, Stored, Tier, TierError};
use tokio::{task::JoinSet, time};

use crate::{
    destination::{Delivery, MemoryDestination},
    sample::Sample,
    source::MemorySource,
};

/// Time within which a call is answered while the store is well.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Time between two looks.
pub(crate) const POLL: Duration = Duration::from_millis(2);

/// Answer of a call.
///
/// # Panics
///
/// If there is none in time.
pub(crate) async fn answered<T>(call: &str, answer: impl Future<Output = T>) -> T {
    let answer = time::timeout(ANSWERED_WITHIN, answer).await;
    answer.unwrap_or_else(|_| panic!("`{call}` was not answered within {ANSWERED_WITHIN:?}"))
}

/// Waits until something holds.
///
/// # Panics
///
/// If it does not come to hold in time.
pub(crate) async fn until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let all = async {
        while !holds() {
            time::sleep(POLL).await;
        }
    };
    let came = time::timeout(within, all).await;
    came.unwrap_or_else(|_| panic!("{what}: not within {within:?}"));
}

/// Runs futures at once, each as a task, and fails as they fail.
pub(crate) async fn at_once(
    futures: impl IntoIterator<Item = impl Future<Output = ()> + Send + 'static>,
) {
    let mut tasks: JoinSet<()> = futures.into_iter().collect();
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            panic::resume_unwind(error.into_panic());
        }
    }
}

/// Stores a sample, whatever comes of it.
pub(crate) async fn try_store(tier: &dyn Tier, sample: &Sample) -> Result<Stored, TierError> {
    let source = Box::new(MemorySource::of(sample));
    answered("store", tier.store(sample.object(), source)).await
}

/// Stores a sample.
pub(crate) async fn store(tier: &dyn Tier, sample: &Sample) -> Stored {
    let stored = try_store(tier, sample).await;
    stored.unwrap_or_else(|error| panic!("{:?} was not stored: {error:?}", sample.object()))
}

/// Stores samples, one after the other.
pub(crate) async fn store_all(tier: &dyn Tier, samples: &[Sample]) {
    for sample in samples {
        store(tier, sample).await;
    }
}

/// Loads a sample, whatever comes of it; the bytes of a load that is complete are right.
pub(crate) async fn try_load(tier: &dyn Tier, sample: &Sample) -> Result<Loaded, TierError> {
    let (destination, delivery) = MemoryDestination::new(sample.stat().len.bytes());
    let load = tier.load(sample.name(), sample.stat(), destination);
    let answer = answered("load", load).await;
    released(&delivery).await;
    delivery.verify(sample, &answer);
    answer
}

/// Waits until the tier has a destination no longer.
pub(crate) async fn released(delivery: &Delivery) {
    until("the tier releases the destination", ANSWERED_WITHIN, || !delivery.is_open()).await;
}

/// Loads a sample if the tier has it.
pub(crate) async fn load_or_absent(tier: &dyn Tier, sample: &Sample) -> Loaded {
    let loaded = try_load(tier, sample).await;
    loaded.unwrap_or_else(|error| panic!("{:?} was not loaded: {error:?}", sample.object()))
}

/// Stat of one object.
pub(crate) async fn find(tier: &dyn Tier, sample: &Sample) -> Option<Stat> {
    let found = find_all(tier, sample.bucket(), &[sample.key()]).await;
    let [stat] = found[..] else { panic!("one key was asked for, found=`{found:?}`") };
    stat
}

/// Stats of objects of a bucket.
pub(crate) async fn find_all(tier: &dyn Tier, bucket: &str, keys: &[&str]) -> Vec<Option<Stat>> {
    let found = answered("find", tier.find(bucket, keys)).await;
    let found = found.unwrap_or_else(|error| panic!("find failed: {error:?}"));
    assert_eq!(found.len(), keys.len(), "find answers each key once");
    found
}

/// Fails unless the tier has a sample: by find, presence and load.
pub(crate) async fn expect_here(tier: &dyn Tier, sample: &Sample) {
    let (object, stat) = (sample.object(), sample.stat());
    assert_eq!(find(tier, sample).await, Some(stat), "find, of {object:?}");
    let presence = tier.presence(sample.bucket(), sample.key());
    let is_right = [Presence::Here(stat), Presence::Unknown].contains(&presence);
    assert!(is_right, "presence, of {object:?}: {presence:?}");
    let loaded = load_or_absent(tier, sample).await;
    assert_eq!(loaded, Loaded::Complete, "load, of {object:?}");
}

/// The same for samples.
pub(crate) async fn expect_all_here(tier: &dyn Tier, samples: &[Sample]) {
    for sample in samples {
        expect_here(tier, sample).await;
    }
}

/// Fails unless the tier has nothing under a sample's name: by find, presence, load and list.
pub(crate) async fn expect_gone(tier: &dyn Tier, sample: &Sample) {
    let object = sample.object();
    assert_eq!(find(tier, sample).await, None, "find, of {object:?}");
    let presence = tier.presence(sample.bucket(), sample.key());
    let is_right = [Presence::Absent, Presence::Unknown].contains(&presence);
    assert!(is_right, "presence, of {object:?}: {presence:?}");
    let loaded = load_or_absent(tier, sample).await;
    assert_eq!(loaded, Loaded::Absent, "load, of {object:?}");
    let listed = list(tier, sample.bucket(), sample.key(), 1000).await;
    let is_listed = listed.iter().any(|(key, _)| key == sample.key());
    assert!(!is_listed, "list, of {object:?}: it is listed");
}

/// Removes objects of a bucket.
pub(crate) async fn remove(tier: &dyn Tier, bucket: &str, keys: &[&str]) -> Vec<bool> {
    let removed = answered("remove", tier.remove(bucket, keys)).await;
    let removed = removed.unwrap_or_else(|error| panic!("remove failed: {error:?}"));
    assert_eq!(removed.len(), keys.len(), "remove answers each key once");
    removed
}

/// Lists a bucket to its end, in pages of this size: keys and lengths, in the order of the tier.
pub(crate) async fn list(
    tier: &dyn Tier,
    bucket: &str,
    prefix: &str,
    limit: usize,
) -> Vec<(String, u64)> {
    let (mut all, mut from) = (Vec::new(), None);
    // A tier may give pages that are not full, even empty ones; without an end it fails here.
    for _ in 0..10_000 {
        let page = answered("list", tier.list(bucket, prefix, from.as_deref(), limit)).await;
        let page = page.unwrap_or_else(|error| panic!("list failed: {error:?}"));
        assert!(page.objects.len() <= limit, "a page has more than {limit} objects: {page:?}");
        let objects = page.objects.iter();
        all.extend(objects.map(|object| (object.key.as_str().to_owned(), object.len.bytes())));
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
    panic!("the listing of {bucket:?} does not end, objects=`{}`", all.len());
}

/// Closes a tier.
pub(crate) async fn close(tier: Arc<dyn Tier>) {
    let closed = answered("close", tier.close()).await;
    closed.unwrap_or_else(|error| panic!("close failed: {error:?}"));
}
