//! Configuration of a tier's use.

use std::{sync::Arc, time::Duration};

use kvlease_tier::Tier;
use kvlease_types::ByteSize;

use super::buckets::BucketSet;

/// The rate below which loads are not worth it, unless it is configured, in bytes per second: some
/// large models compute KV cache at a few times of it.
pub const RATE_MIN_DEFAULT: ByteSize = ByteSize::mib(64);

/// A tier, and how the engine uses it.
#[derive(Clone, Debug)]
pub struct TierConfig {
    /// The tier.
    pub tier: Arc<dyn Tier>,
    /// Whether other nodes use the same store. Listings leave it out unless it is asked for.
    pub is_shared: bool,
    /// Buckets whose objects are copied to the tier as soon as they are stored.
    pub write_through: BucketSet,
    /// Bytes per second that loads must reach to be worth it: below, computing the object again is
    /// quicker. `None` loads at any rate.
    pub rate_min: Option<ByteSize>,
    /// Bytes per second that are copied to the tier, at most. Loads have readers that wait, and no limit.
    pub rate_max: Option<ByteSize>,
    /// Longest time that a look-up waits for the tier.
    pub find_timeout: Duration,
    /// Longest time of a load, store, removal or page of a listing.
    pub timeout: Duration,
}

impl TierConfig {
    /// Longest time that a look-up waits, unless it is configured.
    pub const FIND_TIMEOUT_DEFAULT: Duration = Duration::from_millis(100);

    /// Longest time of a transfer, unless it is configured.
    pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

    /// A tier to which victims of eviction are demoted.
    pub fn new(tier: Arc<dyn Tier>) -> Self {
        Self {
            tier,
            is_shared: false,
            write_through: BucketSet::NONE,
            rate_min: None,
            rate_max: None,
            find_timeout: Self::FIND_TIMEOUT_DEFAULT,
            timeout: Self::TIMEOUT_DEFAULT,
        }
    }
}
