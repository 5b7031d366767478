//! Checks of the place of a daemon before it starts, for a look at it without a start.

use kvlease_arena::MemoryLimits;
use kvlease_types::ByteSize;

use crate::{
    config::Config,
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
        let auto = || sizing::capacity(limits.room(dir, beside_arena(&arena, ByteSize::ZERO)));
        let capacity = arena.capacity.unwrap_or_else(auto);
        let own = ByteSize::new(beside_arena(&arena, capacity).bytes() + beside);
        limits
            .check_beside(dir, capacity, own, ByteSize::new(promised))
            .map_err(|error| ServeError::from(error).in_arena(name))?;
        promised += capacity.bytes();
        beside += 2 * catalog_memory(&arena, capacity).bytes();
    }
    Ok(())
}
