//! Stores: of the same name again, and of sources that fail.

use kvlease_tier::{Loaded, Stored, Tier, TierError};
use kvlease_types::ByteSize;

use super::contents::LONG;
use crate::{
    calls::{answered, expect_gone, expect_here, find, load_or_absent, remove, store, try_load},
    sample::Sample,
    source::MemorySource,
    store::{NotPossible, Store},
};

/// The second store of an object changes nothing.
pub(super) async fn second_store_of_a_name(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    for len in [0, 700, 2 << 20] {
        let sample = Sample::new("bucket", &format!("of-{len}"), 1, len);
        for _ in 0..3 {
            store(&*tier, &sample).await;
            expect_here(&*tier, &sample).await;
        }
    }
    Ok(())
}

/// Of two stores of different bytes either wins, as a whole; none is taken for the other.
pub(super) async fn second_store_of_other_bytes(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    for len in [700, 3 << 20] {
        let old = Sample::new("bucket", &format!("of-{len}"), 1, len);
        let new = old.next_version();
        store(&*tier, &old).await;
        let stored = store(&*tier, &new).await;
        assert!(stored != Stored::Present, "the tier has other bytes, and says that it has these");
        let stat = find(&*tier, &new).await;
        let winner = [&new, &old].into_iter().find(|sample| Some(sample.stat()) == stat);
        let Some(winner) = winner else { panic!("neither of both is found: {stat:?}") };
        expect_here(&*tier, winner).await;
        let loser = if winner.stat() == new.stat() { &old } else { &new };
        let loaded = try_load(&*tier, loser).await;
        assert!(!matches!(loaded, Ok(Loaded::Complete)), "both are there");
    }
    Ok(())
}

/// After a removal the name takes other bytes.
pub(super) async fn store_after_removal(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let mut sample = Sample::new("bucket", "key", 1, 100_000);
    for _ in 0..4 {
        store(&*tier, &sample).await;
        expect_here(&*tier, &sample).await;
        remove(&*tier, sample.bucket(), &[sample.key()]).await;
        let old = sample.clone();
        sample = sample.next_version();
        store(&*tier, &sample).await;
        expect_here(&*tier, &sample).await;
        let loaded = try_load(&*tier, &old).await;
        assert!(!matches!(loaded, Ok(Loaded::Complete)), "bytes from before the removal came back");
        remove(&*tier, sample.bucket(), &[sample.key()]).await;
    }
    Ok(())
}

/// A source whose bytes change, at its begin, in its middle and at its end: nothing is stored.
pub(super) async fn changed_source(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    for (len, position) in [(1, 0), (5000, 0), (5000, 4999), (LONG, 4 << 20), (LONG, LONG - 1)] {
        let sample = Sample::new("bucket", &format!("{position}-of-{len}"), 1, len);
        let source = MemorySource::of(&sample).changing_at(position);
        refused_as_changed(&*tier, &sample, source).await;
        expect_gone(&*tier, &sample).await;
        // The name is as good as before.
        store(&*tier, &sample).await;
        expect_here(&*tier, &sample).await;
    }
    Ok(())
}

/// A source whose bytes have not the object's checksum: nothing is stored.
pub(super) async fn source_of_other_bytes(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    for (len, wrong) in [(1, 0), (5000, 0), (5000, 4999), (LONG, 5 << 20), (LONG, LONG - 1)] {
        let sample = Sample::new("bucket", &format!("{wrong}-of-{len}"), 1, len);
        let mut bytes = sample.bytes().to_vec();
        bytes[wrong] ^= 0x10;
        refused_as_changed(&*tier, &sample, MemorySource::new(bytes.into())).await;
        expect_gone(&*tier, &sample).await;
        store(&*tier, &sample).await;
        expect_here(&*tier, &sample).await;
    }
    Ok(())
}

/// A store that fails does no harm to the object that has the name already.
pub(super) async fn failed_store_leaves_what_was_there(
    subject: &dyn Store,
) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    for len in [5000, LONG] {
        let sample = Sample::new("bucket", &format!("of-{len}"), 1, len);
        let next = sample.next_version();
        store(&*tier, &sample).await;
        refused_as_changed(&*tier, &next, MemorySource::of(&next).changing_at(len - 1)).await;
        expect_here(&*tier, &sample).await;
        refused_as_changed(&*tier, &next, MemorySource::of(&sample)).await;
        expect_here(&*tier, &sample).await;
        assert_eq!(load_or_absent(&*tier, &sample).await, Loaded::Complete);
    }
    Ok(())
}

/// An object that is longer than the tier takes is refused before any of it is read.
pub(super) async fn too_large(subject: &dyn Store) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let Some(len) = tier.len_max().checked_add(1) else {
        return Err(NotPossible("given an object that is too long"));
    };
    let sample = Sample::new("bucket", "key", 1, 100);
    let mut object = sample.object().clone();
    object.stat.len = ByteSize::new(len);
    let source = MemorySource::of(&sample);
    let progress = source.progress();
    let stored = answered("store", tier.store(&object, Box::new(source))).await;
    let Err(TierError::TooLarge { len_max }) = stored else { panic!("not refused: {stored:?}") };
    assert_eq!(len_max.bytes(), tier.len_max());
    assert_eq!(progress.read(), 0);
    expect_gone(&*tier, &sample).await;
    Ok(())
}

async fn refused_as_changed(tier: &dyn Tier, sample: &Sample, source: MemorySource) {
    let stored = answered("store", tier.store(sample.object(), Box::new(source))).await;
    let is_refused = matches!(stored, Err(TierError::SourceChanged(_)));
    assert!(is_refused, "not refused, {:?}: {stored:?}", sample.object());
}
