//! The protocols between threads in this module, in every order of their steps.
//!
//! The files are compiled once more, over the checker's locks and threads; stand-ins replace what
//! they use.

#![expect(clippy::duplicate_mod, reason = "each file once more, over other locks")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kvlease_testing::model::{block_on, check, step};

use self::{releases::Release, sync::thread};

#[path = "../copier.rs"]
#[expect(dead_code, reason = "what is copied does not matter to the order of the jobs")]
mod copier;
#[path = "../releases.rs"]
#[expect(dead_code, reason = "no reader looks at the leases")]
mod releases;
mod sync;

/// Stands in for a lease that was used.
#[derive(Debug)]
struct Lease {
    released: Arc<AtomicUsize>,
}

impl Release for Lease {
    /// All connections are in use.
    fn release_unawaited(&mut self) -> bool {
        false
    }

    async fn release(self) {
        step();
        self.released.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_wait_for_the_releases_covers_all_that_were_queued_before() {
    check(|| {
        // One task, so that some leases find none that can be started for them.
        let releases = Arc::new(releases::Releases::new(1));
        let released = Arc::<AtomicUsize>::default();
        let used = || releases.adopt(Lease { released: Arc::clone(&released) });
        let (first, second, third) = (used(), used(), used());
        let other = thread::spawn(move || drop((first, second)));
        drop(third);
        block_on(releases.drained());
        assert!(released.load(Ordering::Relaxed) >= 1);
        other.join().unwrap();
        block_on(releases.drained());
        assert_eq!(released.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn what_is_given_to_the_copying_threads_is_done_and_they_end() {
    for threads in [1, 2] {
        check(move || {
            let threads = threads.try_into().unwrap();
            let copier = Arc::new(copier::Copier::new(threads));
            let other = {
                let copier = Arc::clone(&copier);
                thread::spawn(move || assert_eq!(block_on(copier.run(|| 7)), 7))
            };
            assert_eq!(block_on(copier.run(|| 8)), 8);
            other.join().unwrap();
        });
    }
}
