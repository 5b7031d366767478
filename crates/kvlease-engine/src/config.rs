//! What the engine is told.

use std::time::Duration;

use kvlease_cache::CatalogConfig;
use kvlease_types::ByteSize;

/// Limits of the engine. All of them hold for every client.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Limits and policy of the catalog.
    pub catalog: CatalogConfig,
    /// The largest object, in bytes.
    pub object_len_max: ByteSize,
    /// The time to live of a lease whose client names none.
    pub lease_ttl_default: Duration,
    /// The longest time to live that is granted; longer wishes are cut to it.
    pub lease_ttl_max: Duration,
}
