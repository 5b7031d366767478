//! The protocols between threads in this module, in every order of their steps.
//!
//! They are the same files, over the checker's locks and threads; what they lean on is stood in for
//! here.

#![expect(clippy::duplicate_mod, reason = "each file once more, over other locks")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use loom::{sync, thread};

use kvlease_testing::model::{Handle, Notify, block_on, check, step};

#[path = "../copier.rs"]
#[expect(dead_code, reason = "what is copied does not matter to the order of the jobs")]
mod copier;
#[path = "../releases.rs"]
#[expect(dead_code, reason = "nobody looks at the leases")]
mod releases;

/// One, so that some leases find no task that can be started for them.
const RELEASE_TASKS_MAX: usize = 1;

/// Stands in for a lease that was used.
#[derive(Debug)]
struct Lease {
    released: Arc<AtomicUsize>,
}

impl Lease {
    /// All connections are in use.
    fn release_unawaited(&mut self) -> bool {
        false
    }

    async fn release(self) -> Result<(), Infallible> {
        step();
        self.released.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn who_waits_for_the_releases_waits_for_all_that_were_queued_before() {
    check(|| {
        let releases = Arc::<releases::Releases>::default();
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
