//! Checks of the place of a daemon before it starts, for a look at it without a start.

#[cfg(feature = "remote")]
use std::time::Duration;
use std::{fs::File, io, path::Path};

use kvlease_arena::MemoryLimits;
use kvlease_nvme::{NvmeConfig, NvmeError, NvmeTier};
use kvlease_types::ByteSize;

use crate::{
    config::{Config, ConfigError, FIRST_LISTENER, check_capacity},
    exit::ServeError,
    sizing,
    taken::{beside_arena, catalog_memory},
    tls::{CertificateError, Certificates},
};

/// Checks that the arenas which this configuration makes fit together into their directory, the control
/// groups of this process and the machine. Those of which `exists` is true, given the configuration of
/// each, have their memory and are not looked at.
///
/// # Errors
///
/// [`ServeError::Arena`], which names the limit and the remedy, with the arena if it is not the first.
pub fn arenas_fit(config: &Config, exists: impl Fn(&Config) -> bool) -> Result<(), ServeError> {
    let (limits, dir) = (MemoryLimits::default(), &config.shared_memory_dir);
    let (mut promised, mut beside) = (0, 0);
    for name in config.arena_names() {
        let arena = config.of_arena(name);
        if exists(&arena) {
            continue;
        }
        let capacity = arena.capacity.unwrap_or_else(|| auto_capacity(&limits, &arena));
        let own = ByteSize::new(beside_arena(&arena, capacity).bytes() + beside);
        limits
            .check_beside(dir, capacity, own, ByteSize::new(promised))
            .map_err(|error| ServeError::from(error).in_arena(name))?;
        promised += capacity.bytes();
        beside += 2 * catalog_memory(&arena, capacity).bytes();
    }
    Ok(())
}

/// Checks that what quotas guarantee fits into the arenas whose size is not configured, as it would be now. Those of
/// which `exists` is true, given the configuration of each, are not looked at.
///
/// # Errors
///
/// The largest guarantee, with the sum of all and the size of the arena.
pub fn guarantees_fit(
    config: &Config,
    exists: impl Fn(&Config) -> bool,
) -> Result<(), ConfigError> {
    let limits = MemoryLimits::default();
    config.arena_names().try_for_each(|name| {
        let arena = config.of_arena(name);
        if arena.capacity.is_some() || exists(&arena) {
            return Ok(());
        }
        check_capacity(config, name, auto_capacity(&limits, &arena))
    })
}

/// Checks that the tier on disk could be opened, also while a daemon has it open; `None` if none is configured. `make`
/// makes a file without a name in its directory, which is returned with what the daemon would warn of.
pub fn disk_fits(
    config: &Config,
    make: impl FnOnce(&Path) -> io::Result<File>,
) -> Option<Result<(File, Vec<String>), NvmeError>> {
    let path = config.nvme_path.as_deref()?;
    let nvme = NvmeConfig { capacity: config.nvme_capacity, ..NvmeConfig::new(path) };
    Some(NvmeTier::probe(&nvme, || make(path)))
}

/// Reads the certificates of all listeners that have some. Each comes with the end of its validity, in seconds of Unix
/// time, or with the reason why the daemon would not start.
///
/// # Errors
///
/// A section that has one of the two files alone.
pub fn certificates(config: &Config) -> Result<Vec<Result<i64, CertificateError>>, ConfigError> {
    let first = config.tls()?.map(|files| (FIRST_LISTENER, files));
    let further = config.listeners.iter();
    let further = further.filter_map(|(name, found)| Some((&**name, found.tls.clone()?)));
    let all = first.into_iter().chain(further);
    Ok(all.map(|(name, files)| Ok(Certificates::read(name, files)?.expires())).collect())
}

/// How long the store of a remote tier may take for its answers to a look at it.
#[cfg(feature = "remote")]
const STORE_ANSWERS_IN: Duration = Duration::from_secs(15);

/// Asks the store of the remote tier for an object and for a listing, as the daemon does, and stores nothing; `None` if
/// none is configured.
///
/// # Errors
///
/// What the store or the way to it says, with the remedy.
#[cfg(feature = "remote")]
pub async fn store_answers(config: &Config) -> Option<Result<(), String>> {
    let tier = match crate::tiers::remote(config) {
        Ok(tier) => tier?.tier,
        Err(error) => return Some(Err(error.to_string())),
    };
    let asked = async {
        tier.find("kvlease-doctor", &["kvlease-doctor"]).await?;
        tier.list("kvlease-doctor", "", None, 1).await.map(drop)
    };
    let answer = tokio::time::timeout(STORE_ANSWERS_IN, asked).await;
    Some(match answer {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the store does not answer within {STORE_ANSWERS_IN:?}")),
    })
}

/// The same in a build without remote tiers.
///
/// # Errors
///
/// That the build has none.
#[cfg(not(feature = "remote"))]
pub async fn store_answers(config: &Config) -> Option<Result<(), String>> {
    crate::tiers::remote(config).err().map(|error| Err(error.to_string()))
}

/// Size of an arena that `auto` makes.
fn auto_capacity(limits: &MemoryLimits, arena: &Config) -> ByteSize {
    let beside = beside_arena(arena, ByteSize::ZERO);
    sizing::capacity(limits.room(&arena.shared_memory_dir, beside))
}
