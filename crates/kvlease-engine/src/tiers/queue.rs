//! Queue of objects that are to be copied to a tier.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use kvlease_cache::Victim;
use kvlease_tier::Name;
use tokio::sync::Notify;

/// Objects that wait to be copied to one tier. They need no memory but their names: their bytes stay
/// in the arena, where they serve.
pub(crate) const QUEUE_MAX: usize = 1024;

/// Object to be copied.
#[derive(Debug)]
pub(crate) struct Demotion {
    pub(crate) name: Name,
    pub(crate) generation: u64,
    /// The victim that is given up after the copy; `None` for write-through.
    pub(crate) victim: Option<Victim>,
}

/// Bounded queue. Adding to it never waits.
#[derive(Default, Debug)]
pub(crate) struct DemotionQueue {
    waiting: Mutex<VecDeque<Demotion>>,
    added: Notify,
}

impl DemotionQueue {
    /// Adds an object. Returns false if the queue is full.
    pub(crate) fn push(&self, demotion: Demotion) -> bool {
        let mut waiting = self.lock();
        let fits = waiting.len() < QUEUE_MAX;
        if fits {
            waiting.push_back(demotion);
            self.added.notify_one();
        }
        fits
    }

    /// Takes out the next object, and waits for one if there is none.
    pub(crate) async fn pop(&self) -> Demotion {
        loop {
            let next = self.lock().pop_front();
            match next {
                Some(demotion) => {
                    // Of several that were added at once, the signal may have woken one worker only.
                    if self.len() > 0 {
                        self.added.notify_one();
                    }
                    return demotion;
                }
                None => self.added.notified().await,
            }
        }
    }

    /// Objects that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Demotion>> {
        self.waiting.lock().expect("no thread panics while holding it")
    }
}
