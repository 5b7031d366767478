//! Absence, presence and look-ups of many keys.

use kvlease_testing::Draws;
use kvlease_tier::{Loaded, Presence};

use crate::{
    calls::{
        expect_gone, expect_here, find_all, load_or_absent, remove, store, store_all, try_load,
    },
    sample::Sample,
    store::{NotPossible, Store},
};

const KEYS: usize = 300;

/// Objects that were never stored, in buckets with and without objects.
pub(super) async fn absent_objects(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    expect_gone(&*tier, &Sample::new("empty", "key", 1, 100)).await;
    store(&*tier, &Sample::new("bucket", "key", 1, 100)).await;
    expect_gone(&*tier, &Sample::new("bucket", "ke", 1, 100)).await;
    expect_gone(&*tier, &Sample::new("bucket", "key2", 1, 100)).await;
    expect_gone(&*tier, &Sample::new("other", "key", 1, 100)).await;
    Ok(())
}

/// Presence is never absence of what is stored, and never another stat.
pub(super) async fn presence_follows_what_is_stored(
    subject: &dyn Store,
) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let sample = Sample::new("bucket", "key", 1, 5000);
    let presence = || tier.presence(sample.bucket(), sample.key());
    assert!(!matches!(presence(), Presence::Here(_)), "nothing is stored: {:?}", presence());
    for _ in 0..3 {
        store(&*tier, &sample).await;
        let expected = [Presence::Here(sample.stat()), Presence::Unknown];
        assert!(expected.contains(&presence()), "it is stored: {:?}", presence());
        remove(&*tier, sample.bucket(), &[sample.key()]).await;
        assert!(!matches!(presence(), Presence::Here(_)), "it is removed: {:?}", presence());
    }
    Ok(())
}

/// A look-up answers key by key: keys that are there and not, and the same key twice.
pub(super) async fn find_keeps_the_order(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let (one, two) = (Sample::new("b", "one", 1, 10), Sample::new("b", "two", 1, 20));
    store_all(&*tier, &[two.clone(), one.clone()]).await;
    let keys = ["two", "zero", "one", "two", "nought", "one", "one"];
    let found = find_all(&*tier, "b", &keys).await;
    let (one, two) = (Some(one.stat()), Some(two.stat()));
    assert_eq!(found, [two, None, one, two, None, one, one]);
    Ok(())
}

/// A look-up of many keys, in an order by random choice, of which each second is there.
pub(super) async fn find_of_many_keys(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let sample = |number: usize| Sample::new("many", &format!("key-{number}"), 1, 32 + number);
    let mut all: Vec<_> = (0..KEYS).map(sample).collect();
    for sample in all.iter().step_by(2) {
        store(&*tier, sample).await;
    }
    let is_stored = |sample: &Sample| sample.stat().len.bytes().is_multiple_of(2);
    let mut draws = Draws::seeded(7);
    let drawn: Vec<_> = std::iter::from_fn(|| draws.take(&mut all)).collect();
    let keys: Vec<_> = drawn.iter().map(Sample::key).collect();
    let expected = drawn.iter().map(|sample| is_stored(sample).then(|| sample.stat()));
    assert_eq!(find_all(&*tier, "many", &keys).await, expected.collect::<Vec<_>>());
    Ok(())
}

/// Calls for no keys answer nothing.
pub(super) async fn empty_calls(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    assert!(find_all(&*tier, "bucket", &[]).await.is_empty());
    assert!(remove(&*tier, "bucket", &[]).await.is_empty());
    Ok(())
}

/// A load of another length or checksum is not complete, and does the object no harm.
pub(super) async fn load_of_another_stat(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let sample = Sample::new("bucket", "key", 1, 5000);
    store(&*tier, &sample).await;
    for other in [
        sample.next_version(),
        Sample::new("bucket", "key", 1, 4999),
        Sample::new("bucket", "key", 1, 5001),
        Sample::new("bucket", "key", 1, 0),
    ] {
        let loaded = try_load(&*tier, &other).await;
        assert!(!matches!(loaded, Ok(Loaded::Complete)), "it was loaded as {:?}", other.stat());
        let of_tier = loaded.as_ref().is_err_and(|error| error.is_of_tier());
        assert!(!of_tier, "no trouble of the tier: {loaded:?}");
        expect_here(&*tier, &sample).await;
    }
    assert_eq!(load_or_absent(&*tier, &sample).await, Loaded::Complete);
    Ok(())
}
