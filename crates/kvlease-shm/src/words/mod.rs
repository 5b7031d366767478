//! The protocols of the single words that several processes, or threads, look at without a lock.

use std::sync::atomic::{AtomicU64, Ordering, fence};

include!("protocol.rs");

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

    /// Two grants mark the same region.
    #[test]
    fn a_deadline_is_never_before_one_that_somebody_was_told_of() {
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
