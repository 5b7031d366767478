//! Calls of a tier, and what must hold for every store.

use std::time::Duration;

use kvlease_tier::{Loaded, Stored, Tier, TierError};
use kvlease_tier_conformance::{MemoryDestination, MemorySource, Sample};

use crate::real_store::proxy::{Fault, Proxy};

/// Length of an object in several parts, wherever it is.
pub(crate) const LONG: usize = (9 << 20) + 5;

pub(crate) async fn store(tier: &dyn Tier, sample: &Sample) -> Result<Stored, TierError> {
    tier.store(sample.object(), Box::new(MemorySource::of(sample))).await
}

/// Loads an object; fails if a wrong byte comes.
pub(crate) async fn load(tier: &dyn Tier, sample: &Sample) -> Result<Loaded, TierError> {
    let (destination, delivery) = MemoryDestination::new(sample.stat().len.bytes());
    let loaded = tier.load(sample.name(), sample.stat(), destination).await;
    delivery.verify(sample, &loaded);
    loaded
}

/// Loads once the tier has noticed that its server is well again.
pub(crate) async fn until_answered(tier: &dyn Tier, sample: &Sample) -> Loaded {
    loop {
        match load(tier, sample).await {
            Ok(loaded) => return loaded,
            Err(error) => assert!(error.is_of_tier(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Loads, stores and looks up over a network with faults: no wrong byte comes, and what was
/// acknowledged is there.
pub(crate) async fn no_wrong_byte(tier: &dyn Tier, proxy: &Proxy, plausible: &[u8]) {
    let samples: Vec<_> =
        [0, 700, 70_000, LONG].map(|len| Sample::new("bucket", &format!("{len}"), 1, len)).into();
    for sample in &samples {
        // A store that is held up for longer than the time limit gets it again.
        while let Err(error) = store(tier, sample).await {
            assert!(error.is_of_tier(), "{error}");
        }
    }
    let other = Sample::new("bucket", "new", 1, LONG);
    let cuts = [0, 1, 20, 100, 5000, 100_000, 5 << 20].map(Fault::CutAfter);
    let garbage = [Vec::new(), b"\0\0".to_vec(), plausible.repeat(100)].map(Fault::Garbage);
    let mut failures = 0;
    for fault in cuts.into_iter().chain(garbage) {
        proxy.set(fault.clone());
        for sample in &samples {
            failures += usize::from(load(tier, sample).await.is_err());
        }
        let stored = store(tier, &other).await;
        let keys: Vec<_> = samples.iter().map(Sample::key).collect();
        if let Ok(found) = tier.find("bucket", &keys).await {
            for (found, sample) in found.iter().zip(&samples) {
                assert!(found.is_none_or(|stat| stat == sample.stat()), "{fault:?}");
            }
        }
        proxy.set(Fault::None);
        let loaded = until_answered(tier, &other).await;
        assert!(stored.is_err() || loaded == Loaded::Complete, "{fault:?}");
        while let Err(error) = tier.remove("bucket", &["new"]).await {
            assert!(error.is_of_tier(), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(failures > 10, "the faults do not reach the tier, failures=`{failures}`");
    for sample in &samples {
        assert_eq!(until_answered(tier, sample).await, Loaded::Complete);
    }
}
