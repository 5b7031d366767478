//! Opening the tiers that are configured.

use std::sync::Arc;
#[cfg(feature = "remote")]
use std::{env, fs};

use kvlease_engine::{ShardDisk, TierConfig};
use kvlease_nvme::{NvmeConfig, NvmeTier};
#[cfg(feature = "remote")]
use kvlease_remote::{Lookup, Options, Secret};
use kvlease_types::ByteSize;

use crate::{config::Config, exit::ServeError, sizing};

/// Opens the tiers, fastest first.
pub(crate) fn open(config: &Config) -> Result<Vec<TierConfig>, ServeError> {
    let tiers = [nvme(config)?, remote(config)?];
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
        rate_max: config.nvme_rate_max,
        ..TierConfig::new(Arc::new(tier))
    }))
}

/// Directory of checkpoints in that of the tier on disk, which locks it.
const SHARDS: &str = "checkpoints";

/// Where shards of checkpoints go that have no room in the arena, if there is a tier on disk.
pub(crate) fn shard_disk(config: &Config, tiers: &[TierConfig]) -> Option<ShardDisk> {
    let path = config.nvme_path.as_ref()?.join(SHARDS);
    let tier = tiers.iter().find(|tier| tier.tier.kind() == "nvme")?.tier.usage().capacity?;
    let capacity = sizing::checkpoints_on_disk(config.checkpoint_disk_capacity, tier);
    (capacity > ByteSize::ZERO).then_some(ShardDisk { path, capacity })
}

/// The variable with the password of a remote tier. It is no setting: settings are printed.
pub(crate) const REMOTE_PASSWORD: &str = "KVLEASE_TIER_REMOTE_PASSWORD";

/// Opens the store that nodes share. Nothing is sent yet: the first calls connect.
#[cfg(feature = "remote")]
pub(crate) fn remote(config: &Config) -> Result<Option<TierConfig>, ServeError> {
    let Some(url) = &config.remote_url else { return Ok(None) };
    let password = env::var(REMOTE_PASSWORD).ok().filter(|password| !password.is_empty());
    let options = Options {
        lookup: if config.remote_lookup_always { Lookup::Always } else { Lookup::Directory },
        password: password.map(Secret::new),
        tls_ca_file: config.remote_tls_ca_file.clone(),
        ..Options::new(node(config))
    };
    let tier = kvlease_remote::open(url.with_credentials(), &options)?;
    tracing::info!(tier = tier.kind(), place = tier.place(), "the remote tier is open");
    Ok(Some(TierConfig {
        is_shared: true,
        write_through: config.remote_write_through.clone(),
        rate_min: config.remote_rate_min,
        find_timeout: config.remote_find_timeout,
        timeout: config.remote_timeout,
        ..TierConfig::new(tier)
    }))
}

/// Name of this daemon among all that share a store: its host, the boot of its machine, and what no two
/// daemons of a host have in common. A restart keeps it.
#[cfg(feature = "remote")]
fn node(config: &Config) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let boot = kvlease_sys::boot_id().unwrap_or_default();
    let segment = &config.shared_memory_name;
    let port = match config.address.port() {
        // One that is free, and another one after a restart.
        0 => std::process::id(),
        port => port.into(),
    };
    format!("{}-{boot:016x}-{segment}-{port}", host.trim())
}

#[cfg(not(feature = "remote"))]
pub(crate) fn remote(config: &Config) -> Result<Option<TierConfig>, ServeError> {
    match &config.remote_url {
        None => Ok(None),
        Some(url) => Err(ServeError::NoRemoteTiers(url.clone())),
    }
}
