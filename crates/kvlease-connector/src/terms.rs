//! Settings and counters that all parts of one connector share.

use std::sync::Arc;

use kvlease_types::ByteSize;

use super::{config::ConnectorConfig, counters::Counters};

/// Settings and counters of one connector.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) config: ConnectorConfig,
    pub(super) counters: Counters,
}

impl Terms {
    /// Counts from zero.
    pub(super) fn new(config: ConnectorConfig) -> Arc<Self> {
        Arc::new(Self { config, counters: Counters::default() })
    }

    /// Whether an object of this length is accepted under a lease; counts one that is not.
    pub(super) fn accepts(&self, len: ByteSize) -> bool {
        let is_too_large = self.config.lease_len_max.is_some_and(|max| len > max);
        if is_too_large {
            self.counters.too_large.one();
        }
        !is_too_large
    }
}
