// Included by the parent module: once over the atomics of the machine, and in tests over those of a
// checker, which tries every order in which they may be seen.

/// The slot holds the object of this generation from now on: its bytes are all there.
pub(crate) fn set_generation(cell: &AtomicU64, generation: u64) {
    cell.store(generation, Ordering::Release);
}

/// The slot holds nothing any more. Whoever writes to the extents of the object that it held does
/// so after this.
pub(crate) fn clear_generation(cell: &AtomicU64) {
    cell.store(0, Ordering::Relaxed);
    // Not even a store that goes around the caches is seen before the zero.
    fence(Ordering::SeqCst);
}

/// The generation in the slot.
///
/// Reads of the object's bytes that come before this in the program are done before it, and those
/// that come after it are not begun: the same call is right before and after a copy.
pub(crate) fn generation(cell: &AtomicU64) -> u64 {
    fence(Ordering::Acquire);
    // The fences and not the load do the ordering: only a relaxed load is known to leave memory
    // that may not be written to alone.
    let generation = cell.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    generation
}

/// Moves a deadline to `until`, unless it is later already.
pub(crate) fn raise_deadline(deadline: &AtomicU64, until: u64) {
    // Many small objects share a region: most find it marked already.
    if deadline.load(Ordering::Relaxed) < until {
        deadline.fetch_max(until, Ordering::Release);
    }
}
