//! Stored objects that are corrupt, cut off, foreign or nothing at all.

use kvlease_tier::{Loaded, Tier, TierError};

use crate::{
    calls::{close, expect_gone, expect_here, list, store, store_all, try_load},
    sample::Sample,
    store::{Damage, NotPossible, Store},
};

const LENS: [usize; 2] = [70_005, (5 << 20) + 3];

/// A bit that is another is found by the checksum.
pub(super) async fn flipped_bit(subject: &dyn Store) -> Result<(), NotPossible> {
    while_open(subject, |_| Damage::FlipBit).await
}

/// An object without its end.
pub(super) async fn truncated_object(subject: &dyn Store) -> Result<(), NotPossible> {
    while_open(subject, |_| Damage::Truncate).await
}

/// An object under another's name, of the same length and in itself right.
pub(super) async fn replaced_object(subject: &dyn Store) -> Result<(), NotPossible> {
    while_open(subject, |other| Damage::ReplaceBy(other.name().clone())).await
}

/// Bytes that no tier wrote.
pub(super) async fn garbage(subject: &dyn Store) -> Result<(), NotPossible> {
    while_open(subject, |_| Damage::Garbage).await
}

/// The same between a close and an open.
pub(super) async fn flipped_bit_while_closed(subject: &dyn Store) -> Result<(), NotPossible> {
    while_closed(subject, |_| Damage::FlipBit).await
}

/// The same between a close and an open.
pub(super) async fn truncated_while_closed(subject: &dyn Store) -> Result<(), NotPossible> {
    while_closed(subject, |_| Damage::Truncate).await
}

/// The same between a close and an open.
pub(super) async fn replaced_while_closed(subject: &dyn Store) -> Result<(), NotPossible> {
    while_closed(subject, |other| Damage::ReplaceBy(other.name().clone())).await
}

/// The same between a close and an open.
pub(super) async fn garbage_while_closed(subject: &dyn Store) -> Result<(), NotPossible> {
    while_closed(subject, |_| Damage::Garbage).await
}

async fn while_open(
    subject: &dyn Store,
    damage: impl Fn(&Sample) -> Damage,
) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    for len in LENS {
        let [target, other, third] = samples(len);
        store_all(&*tier, &[target.clone(), other.clone(), third.clone()]).await;
        let damage = damage(&other);
        let is_flipped = damage == Damage::FlipBit;
        subject.damage(target.name(), damage).await?;
        expect_unusable(&*tier, &target, is_flipped).await;
        expect_usable(&*tier, &target, &[other, third]).await;
    }
    Ok(())
}

async fn while_closed(
    subject: &dyn Store,
    damage: impl Fn(&Sample) -> Damage,
) -> Result<(), NotPossible> {
    subject.durable()?;
    for len in LENS {
        let tier = subject.open().await;
        let [target, other, third] = samples(len);
        store_all(&*tier, &[target.clone(), other.clone(), third.clone()]).await;
        close(tier).await;
        subject.damage(target.name(), damage(&other)).await?;
        let tier = subject.open().await;
        expect_unusable(&*tier, &target, false).await;
        expect_usable(&*tier, &target, &[other, third]).await;
        close(tier).await;
    }
    Ok(())
}

/// The object does not come back, and the reason is the object and not the tier.
async fn expect_unusable(tier: &dyn Tier, target: &Sample, is_flipped: bool) {
    match try_load(tier, target).await {
        Ok(Loaded::Absent) if !is_flipped => {}
        Err(TierError::Foreign { .. }) if !is_flipped => {}
        Err(TierError::Corrupt { expected, found }) => {
            assert_eq!(expected, target.stat().checksum, "the expected checksum");
            assert_ne!(expected, found, "the checksums");
            expect_gone(tier, target).await;
        }
        Ok(Loaded::Complete) => panic!("the object came back right: the hook changed nothing"),
        other => panic!("an object that is corrupt: {other:?}"),
    }
}

/// Other objects are as they were, and a store brings the object back.
async fn expect_usable(tier: &dyn Tier, target: &Sample, others: &[Sample]) {
    for other in others {
        expect_here(tier, other).await;
    }
    list(tier, target.bucket(), "", 10).await;
    store(tier, target).await;
    expect_here(tier, target).await;
    for other in others {
        expect_here(tier, other).await;
    }
}

/// The object to be changed, another one of its length, and a third one.
fn samples(len: usize) -> [Sample; 3] {
    let sample = |key: &str, len| Sample::new("bucket", &format!("{key}-{len}"), 1, len);
    [sample("target", len), sample("other", len), sample("third", len / 2)]
}
