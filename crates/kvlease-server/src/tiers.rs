//! Opening the tiers that are configured.

use std::sync::Arc;

use kvlease_engine::TierConfig;
use kvlease_nvme::{NvmeConfig, NvmeTier};

use crate::{config::Config, exit::ServeError};

/// Opens the tiers, fastest first.
pub(crate) fn open(config: &Config) -> Result<Vec<TierConfig>, ServeError> {
    let tiers = [nvme(config)?];
    Ok(tiers.into_iter().flatten().collect())
}

fn nvme(config: &Config) -> Result<Option<TierConfig>, ServeError> {
    let Some(path) = &config.nvme_path else { return Ok(None) };
    let nvme = NvmeConfig { capacity: config.nvme_capacity, ..NvmeConfig::new(path) };
    let (tier, recovery) = NvmeTier::open(nvme)?;
    tracing::info!(way = %tier.way(), "the tier on disk is open: {recovery}");
    Ok(Some(TierConfig {
        write_through: config.nvme_write_through.clone(),
        rate_min: config.nvme_rate_min,
        ..TierConfig::new(Arc::new(tier))
    }))
}
