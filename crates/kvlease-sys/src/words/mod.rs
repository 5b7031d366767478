//! Protocols of the single words that processes, or threads, share without a lock.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::Access;

include!("protocol.rs");

/// Word of 8 bytes in a [`Mapping`](crate::Mapping), accessed atomically.
///
/// Methods that write panic if the mapping is read-only.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    atomic: &'a AtomicU64,
    access: Access,
}

impl<'a> Word<'a> {
    /// Length in bytes.
    pub const LEN: u64 = size_of::<u64>() as u64;

    pub(crate) fn new(atomic: &'a AtomicU64, access: Access) -> Self {
        Self { atomic, access }
    }

    /// Current value. Later reads of this thread see at least what its writer saw.
    pub fn load(self) -> u64 {
        // The fence and not the load does the ordering, as in `generation`.
        let value = self.atomic.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        value
    }

    /// Sets the value, after all earlier writes of this thread.
    pub fn store(self, value: u64) {
        self.writable().store(value, Ordering::Release);
    }

    /// Sets a deadline to `until`, unless it is later already.
    pub fn raise(self, until: u64) {
        raise_deadline(self.writable(), until);
    }

    /// Generation of the object in a slot, 0 for none.
    ///
    /// Reads of the object's bytes that precede this call are complete before it, and later ones
    /// have not begun: the same call is right before and after a copy.
    pub fn generation(self) -> u64 {
        generation(self.atomic)
    }

    /// Declares that the slot holds the object of this generation: all of its bytes are written.
    pub fn set_generation(self, generation: u64) {
        set_generation(self.writable(), generation);
    }

    /// Declares that the slot holds no object. Later writes of this thread to the extents of the
    /// object come after it.
    pub fn clear_generation(self) {
        clear_generation(self.writable());
    }

    fn writable(self) -> &'a AtomicU64 {
        assert!(self.access == Access::ReadWrite, "a write to a word that is read-only");
        self.atomic
    }
}

/// Words of a cell, the sequence in front.
pub(crate) const CELL_WORDS: usize = 8;

/// Cell of several words in a [`Mapping`](crate::Mapping), which are read as they were at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    words: &'a [AtomicU64; CELL_WORDS],
    access: Access,
}

impl<'a> Cell<'a> {
    /// Length in bytes: a line of the processor's cache.
    pub const LEN: u64 = CELL_WORDS as u64 * Word::LEN;

    pub(crate) fn new(words: &'a [AtomicU64; CELL_WORDS], access: Access) -> Self {
        Self { words, access }
    }

    /// The words behind the sequence. `None` while they change, and for good if their writer was
    /// killed while it changed them.
    pub fn read(self) -> Option<[u64; CELL_WORDS - 1]> {
        let [_, values @ ..] = read_cell(self.words)?;
        Some(values)
    }

    /// Changes the words behind the sequence.
    ///
    /// # Panics
    ///
    /// If the mapping is read-only.
    pub fn write(self, values: &[u64; CELL_WORDS - 1]) {
        assert!(self.access == Access::ReadWrite, "a write to a cell that is read-only");
        write_cell(self.words, values);
    }
}

#[cfg(test)]
mod tests {
    use loom::{
        model,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering, fence},
        },
        thread,
    };

    include!("protocol.rs");

    /// The words of an object's extent.
    const WORDS: usize = 2;

    fn words(value: u64) -> [AtomicU64; WORDS] {
        std::array::from_fn(|_| AtomicU64::new(value))
    }

    /// The daemon hands the extent of object 1 to object 2 while a reader copies object 1.
    #[test]
    fn a_copy_between_two_looks_at_its_generation_is_of_that_generation() {
        model(|| {
            let shared = Arc::new((AtomicU64::new(1), words(1)));
            let daemon = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (cell, bytes) = &*shared;
                    clear_generation(cell);
                    bytes.iter().for_each(|word| word.store(2, Ordering::Relaxed));
                    set_generation(cell, 2);
                })
            };
            let (cell, bytes) = &*shared;
            let before = generation(cell);
            let copy = bytes.each_ref().map(|word| word.load(Ordering::Relaxed));
            let after = generation(cell);
            if before != 0 && before == after {
                assert_eq!(copy, [before; WORDS], "bytes of another object");
            }
            daemon.join().unwrap();
        });
    }

    /// A cell changes twice while a reader looks at it.
    #[test]
    fn a_cell_is_read_as_it_was_at_one_moment() {
        model(|| {
            let cell: Arc<[AtomicU64; 3]> = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
            let daemon = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    write_cell(&cell, &[1, 1]);
                    write_cell(&cell, &[2, 2]);
                })
            };
            if let Some([sequence, first, second]) = read_cell(&cell) {
                assert_eq!(first, second, "words of two moments");
                assert_eq!(sequence, 2 * first);
            }
            daemon.join().unwrap();
            assert_eq!(read_cell(&cell), Some([4, 2, 2]));
        });
    }

    /// The daemon withdraws the cell of an object, hands its extent to another object, and publishes
    /// that, while a reader that found the cell copies.
    #[test]
    fn a_copy_by_a_cell_is_of_the_object_that_the_cell_named() {
        model(|| {
            // The cell names object 1 and its generation.
            let cell: [AtomicU64; 3] = [2, 1, 1].map(AtomicU64::new);
            let shared = Arc::new((cell, AtomicU64::new(1), words(1)));
            let daemon = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (cell, slot, bytes) = &*shared;
                    write_cell(cell, &[0, 0]);
                    clear_generation(slot);
                    bytes.iter().for_each(|word| word.store(2, Ordering::Relaxed));
                    set_generation(slot, 2);
                    write_cell(cell, &[2, 2]);
                })
            };
            let (cell, slot, bytes) = &*shared;
            if let Some([_, object, named]) = read_cell(cell)
                && named != 0
                && generation(slot) == named
            {
                let copy = bytes.each_ref().map(|word| word.load(Ordering::Relaxed));
                if generation(slot) == named {
                    assert_eq!(copy, [object; WORDS], "bytes of another object");
                }
            }
            daemon.join().unwrap();
        });
    }

    /// A daemon that was killed while it changed a cell.
    #[test]
    fn a_cell_whose_writer_was_killed_is_never_read() {
        model(|| {
            let cell: [AtomicU64; 3] = [5, 1, 2].map(AtomicU64::new);
            assert_eq!(read_cell(&cell), None);
        });
    }

    /// Two grants mark the same region.
    #[test]
    fn a_deadline_is_never_before_one_that_was_granted() {
        model(|| {
            let deadline = Arc::new(AtomicU64::new(0));
            let other = {
                let deadline = Arc::clone(&deadline);
                thread::spawn(move || {
                    raise_deadline(&deadline, 7);
                    assert!(deadline.load(Ordering::Relaxed) >= 7);
                })
            };
            raise_deadline(&deadline, 5);
            assert!(deadline.load(Ordering::Relaxed) >= 5);
            other.join().unwrap();
            assert_eq!(deadline.load(Ordering::Relaxed), 7);
        });
    }
}
