//! Lengths of objects.

use kvlease_testing::Draws;
use kvlease_tier::{Stored, Tier};

use crate::{
    calls::{expect_here, store},
    sample::Sample,
    store::{NotPossible, Store},
};

/// Length of more pieces than one, whatever a tier takes for a piece, and of an odd rest.
pub(super) const LONG: usize = (9 << 20) + 13;

const DRAWN: usize = 24;

/// An object without bytes is an object.
pub(super) async fn empty_object(subject: &dyn Store) -> Result<(), NotPossible> {
    round_trips(subject, &[0]).await
}

/// An object of one byte.
pub(super) async fn one_byte(subject: &dyn Store) -> Result<(), NotPossible> {
    round_trips(subject, &[1]).await
}

/// Lengths around those of a page and of a sector.
pub(super) async fn around_a_page(subject: &dyn Store) -> Result<(), NotPossible> {
    round_trips(subject, &[511, 512, 513, 4095, 4096, 4097, 8191, 8192, 8193]).await
}

/// Lengths around that of a piece.
pub(super) async fn one_mebibyte(subject: &dyn Store) -> Result<(), NotPossible> {
    round_trips(subject, &[(1 << 20) - 1, 1 << 20, (1 << 20) + 1]).await
}

/// An object of several pieces and an odd rest.
pub(super) async fn several_pieces(subject: &dyn Store) -> Result<(), NotPossible> {
    round_trips(subject, &[LONG]).await
}

/// Lengths by random choice.
pub(super) async fn drawn_lengths(subject: &dyn Store) -> Result<(), NotPossible> {
    let mut draws = Draws::seeded(13);
    let lens: Vec<_> = (0..DRAWN).map(|_| draws.log_between(1, 4 << 20) as usize).collect();
    round_trips(subject, &lens).await
}

async fn round_trips(subject: &dyn Store, lens: &[usize]) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    let samples: Vec<_> = lens.iter().enumerate().map(numbered).collect();
    for sample in &samples {
        if sample.stat().len.bytes() > tier.len_max() {
            return Err(NotPossible("given an object of this length"));
        }
        let stored = store(&*tier, sample).await;
        assert!(matches!(stored, Stored::Written(_)), "a new object was not written: {stored:?}");
        expect_here(&*tier, sample).await;
    }
    expect_all_later(&*tier, &samples).await;
    Ok(())
}

async fn expect_all_later(tier: &dyn Tier, samples: &[Sample]) {
    for sample in samples.iter().rev() {
        expect_here(tier, sample).await;
    }
}

fn numbered((number, len): (usize, &usize)) -> Sample {
    Sample::new("contents", &format!("{number}-of-{len}"), 1, *len)
}
