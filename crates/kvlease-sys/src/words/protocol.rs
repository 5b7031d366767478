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

/// Changes all words of a cell but the first, which is its sequence: odd while the others change.
/// Only one thread of one process writes to a cell. `values` are those of the words behind the
/// sequence.
pub(crate) fn write_cell<const N: usize>(cell: &[AtomicU64; N], values: &[u64]) {
    let [sequence, words @ ..] = &cell[..] else { return };
    // A writer that was killed half way left it odd: then it stays odd until the end.
    let odd = sequence.load(Ordering::Relaxed) | 1;
    sequence.store(odd, Ordering::Relaxed);
    fence(Ordering::Release);
    for (word, value) in words.iter().zip(values) {
        word.store(*value, Ordering::Relaxed);
    }
    sequence.store(odd.wrapping_add(1), Ordering::Release);
}

/// All words of a cell as they were at one moment, the sequence in front. `None` while they change,
/// and for good if their writer was killed while it changed them.
pub(crate) fn read_cell<const N: usize>(cell: &[AtomicU64; N]) -> Option<[u64; N]> {
    let sequence = cell[0].load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    let mut values = [sequence; N];
    for (value, word) in values.iter_mut().zip(cell).skip(1) {
        *value = word.load(Ordering::Relaxed);
    }
    fence(Ordering::Acquire);
    let same = cell[0].load(Ordering::Relaxed) == sequence;
    (same && sequence.is_multiple_of(2)).then_some(values)
}
