// Included by the parent module: once over the atomics of the machine, and in tests over those of
// loom, which tries every order in which they may be seen.

/// Declares that the slot holds the object of this generation: all of its bytes are written.
pub(crate) fn set_generation(cell: &AtomicU64, generation: u64) {
    cell.store(generation, Ordering::Release);
}

/// Declares that the slot holds no object. Writes to the extents of the object that it held come
/// after this call.
pub(crate) fn clear_generation(cell: &AtomicU64) {
    cell.store(0, Ordering::Relaxed);
    // Not even a non-temporal store becomes visible before the zero.
    fence(Ordering::SeqCst);
}

/// Generation of the object in the slot, 0 for none.
///
/// Reads of the object's bytes that precede this call are complete before it, and later ones have
/// not begun: the same call is right before and after a copy.
pub(crate) fn generation(cell: &AtomicU64) -> u64 {
    fence(Ordering::Acquire);
    // The fences and not the load do the ordering: only a relaxed load is known to work on memory
    // that is read-only.
    let generation = cell.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    generation
}

/// Sets a deadline to `until`, unless it is later already.
pub(crate) fn raise_deadline(deadline: &AtomicU64, until: u64) {
    // Many small objects share a region: most of them find it marked already.
    if deadline.load(Ordering::Relaxed) < until {
        deadline.fetch_max(until, Ordering::Release);
    }
}
