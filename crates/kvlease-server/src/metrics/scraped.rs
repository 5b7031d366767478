//! Metrics that are read from the engine at every scrape.

use std::{fmt, sync::Arc};

use kvlease_engine::Engine;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

/// Writes some of the engine's metrics.
pub(super) type Encode = fn(&Engine, DescriptorEncoder<'_>) -> fmt::Result;

/// Collector of some of the engine's metrics.
pub(super) struct Scraped {
    engine: Arc<Engine>,
    encode: Encode,
}

impl Scraped {
    pub(super) fn new(engine: Arc<Engine>, encode: Encode) -> Self {
        Self { engine, encode }
    }
}

impl fmt::Debug for Scraped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scraped")
    }
}

impl Collector for Scraped {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.encode)(&self.engine, encoder)
    }
}
