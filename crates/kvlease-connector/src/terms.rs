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

    /// Whether an object of this length is within the limit.
    pub(super) fn is_within(&self, len: ByteSize) -> bool {
        self.config.lease_len_max.is_none_or(|max| len <= max)
    }

    /// Whether an object of this length is accepted under a lease; counts one that is not.
    pub(super) fn accepts(&self, len: ByteSize) -> bool {
        let is_within = self.is_within(len);
        if !is_within {
            self.counters.too_large.one();
        }
        is_within
    }
}
