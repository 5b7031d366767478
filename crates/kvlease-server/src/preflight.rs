//! Checks of the place of a daemon before it starts, for a look at it without a start.

use kvlease_arena::{ArenaError, MemoryLimits};
use kvlease_types::ByteSize;

use crate::{config::Config, server::beside_arena, sizing};

/// Checks that the arena which this configuration makes fits into its directory, the control groups of
/// this process and the machine. Returns its size. An arena that exists is not looked at.
///
/// # Errors
///
/// [`ArenaError`], which names the limit and the remedy.
pub fn arena_fits(config: &Config) -> Result<ByteSize, ArenaError> {
    let (limits, dir) = (MemoryLimits::default(), &config.shared_memory_dir);
    let auto = || sizing::capacity(limits.room(dir, beside_arena(config, ByteSize::ZERO)));
    let capacity = config.capacity.unwrap_or_else(auto);
    limits.check(dir, capacity, beside_arena(config, capacity))?;
    Ok(capacity)
}
