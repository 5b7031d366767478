//! Checks of the place of a daemon before it starts, for a look at it without a start.

use kvlease_arena::MemoryLimits;
use kvlease_types::ByteSize;

use crate::{
    config::{Config, ConfigError, check_capacity},
    exit::ServeError,
    sizing,
    taken::{beside_arena, catalog_memory},
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

/// Size of an arena that `auto` makes.
fn auto_capacity(limits: &MemoryLimits, arena: &Config) -> ByteSize {
    let beside = beside_arena(arena, ByteSize::ZERO);
    sizing::capacity(limits.room(&arena.shared_memory_dir, beside))
}
