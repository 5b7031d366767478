//! Opening the tiers that are configured.

use kvlease_engine::TierConfig;

use crate::{config::Config, exit::ServeError};

/// Opens the tiers, fastest first.
pub(crate) fn open(_config: &Config) -> Result<Vec<TierConfig>, ServeError> {
    Ok(Vec::new())
}
