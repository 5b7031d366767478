//! Stores and removals by random choice, with ends of the tier in between.

use std::sync::Arc;

use kvlease_testing::{Draws, rounds};
use kvlease_tier::Tier;

use super::removal::reopened;
use crate::{
    calls::{expect_gone, expect_here, remove, store},
    sample::Sample,
    store::{NotPossible, Store},
};

/// Tiers, one after the other.
const TIERS: usize = 8;

/// Calls of one tier.
const CALLS: usize = 40;

const NAMES: usize = 16;

const LEN_MAX: u64 = 200_000;

/// Object that the case stores and removes: the latest version, and whether it is stored.
struct Expected {
    sample: Sample,
    is_stored: bool,
}

/// After each end, with a close and without one, a tier has what was stored and not removed.
pub(super) async fn reopened_in_any_order(subject: &dyn Store) -> Result<(), NotPossible> {
    subject.durable()?;
    let mut draws = Draws::seeded(17);
    let mut objects: Vec<_> = (0..NAMES).map(|number| of_number(&mut draws, number)).collect();
    let mut tier = subject.open().await;
    for _ in 0..rounds(TIERS) {
        for _ in 0..CALLS {
            let at = draws.index(NAMES);
            change(&*tier, &mut objects[at], &mut draws).await;
        }
        tier = end(subject, tier, &mut draws).await;
        for Expected { sample, is_stored } in &objects {
            match is_stored {
                true => expect_here(&*tier, sample).await,
                false => expect_gone(&*tier, sample).await,
            }
        }
    }
    Ok(())
}

async fn change(tier: &dyn Tier, object: &mut Expected, draws: &mut Draws) {
    let Expected { sample, is_stored } = object;
    if draws.percent(40) {
        remove(tier, sample.bucket(), &[sample.key()]).await;
        *is_stored = false;
        return;
    }
    // Other bytes come only after a removal.
    if !*is_stored && draws.percent(50) {
        *sample = sample.next_version();
    }
    store(tier, sample).await;
    *is_stored = true;
}

async fn end(subject: &dyn Store, tier: Arc<dyn Tier>, draws: &mut Draws) -> Arc<dyn Tier> {
    match draws.percent(50) {
        true => reopened(subject, tier).await,
        false => {
            drop(tier);
            subject.open().await
        }
    }
}

fn of_number(draws: &mut Draws, number: usize) -> Expected {
    let len = draws.log_between(1, LEN_MAX) as usize;
    let sample = Sample::new("bucket", &format!("key-{number}"), 1, len);
    Expected { sample, is_stored: false }
}
