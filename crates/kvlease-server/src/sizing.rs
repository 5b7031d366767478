//! Sizes that the configuration leaves to the daemon.

use kvlease_types::ByteSize;

/// The smallest arena that is made without being asked for.
const CAPACITY_AUTO_MIN: ByteSize = ByteSize::mib(64);

/// The largest arena that is made without being asked for.
const CAPACITY_AUTO_MAX: ByteSize = ByteSize::gib(8);

/// The part of the free shared memory that such an arena takes.
const CAPACITY_AUTO_SHARE: u64 = 4;

/// The least memory that the catalog may use.
const CATALOG_MEMORY_MIN: ByteSize = ByteSize::mib(32);

/// The part of the arena's size that the catalog may use beside it: an object of 64 KiB then has
/// a KiB for its names and its place, twice what a long key needs.
const CATALOG_MEMORY_SHARE: u64 = 64;

/// The size of a new arena: a quarter of what is free, within bounds, in whole MiB.
pub(crate) fn capacity(free: ByteSize) -> ByteSize {
    let share = free.bytes() / CAPACITY_AUTO_SHARE;
    let whole = share >> 20 << 20;
    ByteSize::new(whole).clamp(CAPACITY_AUTO_MIN, CAPACITY_AUTO_MAX)
}

/// The most memory that the catalog of an arena of this size may use.
pub(crate) fn catalog_memory(capacity: ByteSize) -> ByteSize {
    ByteSize::new(capacity.bytes() / CATALOG_MEMORY_SHARE).max(CATALOG_MEMORY_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_sizes_keep_within_their_bounds() {
        assert_eq!(capacity(ByteSize::ZERO), CAPACITY_AUTO_MIN);
        assert_eq!(capacity(ByteSize::new((2 << 30) + 12345)), ByteSize::mib(512));
        assert_eq!(capacity(ByteSize::gib(1000)), CAPACITY_AUTO_MAX);
        assert_eq!(catalog_memory(ByteSize::mib(64)), CATALOG_MEMORY_MIN);
        assert_eq!(catalog_memory(ByteSize::gib(8)), ByteSize::mib(128));
    }
}
