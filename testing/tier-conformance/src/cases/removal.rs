//! Removal, listing and usage.

use std::sync::Arc;

use kvlease_tier::Tier;

use crate::{
    calls::{close, expect_all_here, expect_gone, expect_here, list, remove, store, store_all},
    sample::Sample,
    store::{NotPossible, Store},
};

const MANY: usize = 60;

/// Removed objects are gone for every call, and others are not.
pub(super) async fn removal(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let kept = Sample::new("bucket", "kept", 1, 5000);
    store(&*tier, &kept).await;
    for len in [0, 5000, 3 << 20] {
        let sample = Sample::new("bucket", &format!("of-{len}"), 1, len);
        store(&*tier, &sample).await;
        remove(&*tier, sample.bucket(), &[sample.key()]).await;
        expect_gone(&*tier, &sample).await;
        // The second removal of a name is none, and no error.
        remove(&*tier, sample.bucket(), &[sample.key(), "never-stored"]).await;
        expect_gone(&*tier, &sample).await;
    }
    expect_here(&*tier, &kept).await;
    Ok(())
}

/// One call removes many objects.
pub(super) async fn removal_of_many(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let samples = many("bucket");
    let twins = many("twins");
    store_all(&*tier, &samples).await;
    store_all(&*tier, &twins).await;
    let keys: Vec<_> = samples.iter().step_by(2).map(Sample::key).collect();
    remove(&*tier, "bucket", &keys).await;
    for (number, sample) in samples.iter().enumerate() {
        match number % 2 {
            0 => expect_gone(&*tier, sample).await,
            _ => expect_here(&*tier, sample).await,
        }
    }
    expect_all_here(&*tier, &twins).await;
    Ok(())
}

/// Removed objects do not come back with a tier that is opened again.
pub(super) async fn removal_survives_reopening(subject: &dyn Store) -> Result<(), NotPossible> {
    subject.durable()?;
    let samples = many("bucket");
    let tier = subject.open().await;
    store_all(&*tier, &samples).await;
    let mut tier = reopened(subject, tier).await;
    let keys: Vec<_> = samples.iter().take(MANY / 2).map(Sample::key).collect();
    remove(&*tier, "bucket", &keys).await;
    // With a close, and as after the death of the daemon.
    for is_closed in [false, true] {
        tier = match is_closed {
            true => reopened(subject, tier).await,
            false => {
                drop(tier);
                subject.open().await
            }
        };
        for (number, sample) in samples.iter().enumerate() {
            match number < MANY / 2 {
                true => expect_gone(&*tier, sample).await,
                false => expect_here(&*tier, sample).await,
            }
        }
    }
    Ok(())
}

/// A listing has the keys with the prefix, and no others.
pub(super) async fn listing_of_a_prefix(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let keys = ["a", "a/b", "a/c", "ab", "a%", "a%2Fb", "b", "é", "éa", "a b", "a*", "a?", "[a]"];
    let samples: Vec<_> =
        keys.iter().enumerate().map(|(len, key)| Sample::new("bucket", key, 1, len)).collect();
    store_all(&*tier, &samples).await;
    store(&*tier, &Sample::new("bucket2", "a", 1, 1)).await;
    store(&*tier, &Sample::new("a", "a", 1, 1)).await;
    for prefix in ["", "a", "a/", "a%", "a%2F", "é", "a ", "a*", "a?", "[a", "[", "c", "*", "?"] {
        let with_prefix = samples.iter().filter(|sample| sample.key().starts_with(prefix));
        let listed = list(&*tier, "bucket", prefix, 100).await;
        assert_listed(listed, with_prefix, &format!("prefix {prefix:?}"));
    }
    Ok(())
}

/// Pages of every size have all objects exactly once.
pub(super) async fn listing_in_pages(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let samples = many("bucket");
    store_all(&*tier, &samples).await;
    store_all(&*tier, &many("other")).await;
    for limit in [1, 7, MANY - 1, MANY, MANY + 1, 1000] {
        let listed = list(&*tier, "bucket", "", limit).await;
        assert_listed(listed, samples.iter(), &format!("pages of {limit}"));
        let with_prefix = samples.iter().filter(|sample| sample.key().starts_with("key-1"));
        let listed = list(&*tier, "bucket", "key-1", limit).await;
        assert_listed(listed, with_prefix, &format!("prefix, pages of {limit}"));
    }
    Ok(())
}

/// A bucket without objects has an empty listing.
pub(super) async fn listing_of_no_bucket(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    assert_eq!(list(&*tier, "bucket", "", 10).await, []);
    let sample = Sample::new("bucket", "key", 1, 10);
    store(&*tier, &sample).await;
    assert_eq!(list(&*tier, "bucke", "", 10).await, []);
    assert_eq!(list(&*tier, "bucket2", "", 10).await, []);
    remove(&*tier, "bucket", &["key"]).await;
    assert_eq!(list(&*tier, "bucket", "", 10).await, []);
    Ok(())
}

/// Usage counts what is stored, if it counts.
pub(super) async fn usage(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let before = tier.usage();
    let samples = many("bucket");
    store_all(&*tier, &samples).await;
    let after = tier.usage();
    if let (Some(before), Some(after)) = (before.objects, after.objects) {
        assert_eq!(after, before + MANY as u64, "objects");
    }
    if let (Some(before), Some(after)) = (before.used, after.used) {
        let stored: u64 = samples.iter().map(|sample| sample.stat().len.bytes()).sum();
        assert!(after.bytes() >= before.bytes() + stored, "used: {before:?}, then {after:?}");
    }
    if let (Some(used), Some(capacity)) = (after.used, after.capacity) {
        assert!(used <= capacity, "used {used:?} of {capacity:?}");
    }
    let keys: Vec<_> = samples.iter().map(Sample::key).collect();
    remove(&*tier, "bucket", &keys).await;
    assert_eq!(tier.usage().objects, before.objects, "objects after the removal of all");
    Ok(())
}

/// Kind and place are texts for metrics and for people.
pub(super) async fn kind_and_place(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase());
    let kind = tier.kind();
    assert!(is_word(kind) || kind == "s3", "the kind is a label of metrics: {kind:?}");
    let place = tier.place();
    assert!(!place.is_empty() && !place.contains('\n'), "{place:?}");
    assert!(tier.len_max() > 0);
    Ok(())
}

/// The place and the debug form show no credentials.
pub(super) async fn no_secret_is_shown(subject: &dyn Store) -> Result<(), NotPossible> {
    let secrets = subject.secrets()?;
    assert!(!secrets.is_empty(), "a store without credentials says so with `NotPossible`");
    let tier = subject.open().await;
    store(&*tier, &Sample::new("bucket", "key", 1, 10)).await;
    let shown = format!("{} {tier:?}", tier.place());
    for secret in secrets {
        assert!(!shown.contains(&secret), "credentials are shown: {shown}");
    }
    Ok(())
}

/// Closes a tier and opens it again.
pub(super) async fn reopened(subject: &dyn Store, tier: Arc<dyn Tier>) -> Arc<dyn Tier> {
    close(tier).await;
    subject.open().await
}

fn many(bucket: &str) -> Vec<Sample> {
    let sample = |number: usize| Sample::new(bucket, &format!("key-{number}"), 1, 100 + number);
    (0..MANY).map(sample).collect()
}

fn assert_listed<'a>(
    mut listed: Vec<(String, u64)>,
    expected: impl Iterator<Item = &'a Sample>,
    what: &str,
) {
    let mut expected: Vec<_> =
        expected.map(|sample| (sample.key().to_owned(), sample.stat().len.bytes())).collect();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected, "listing, {what}");
}
