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
    state: Mutex<State>,
    added: Notify,
}

#[derive(Default, Debug)]
struct State {
    waiting: VecDeque<Demotion>,
    copying: usize,
}

/// Object that was taken out of the queue and counts as being copied until this is dropped.
#[derive(Debug)]
pub(crate) struct Copying<'a>(&'a DemotionQueue);

/// Numbers of objects of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Backlog {
    /// Those that wait.
    pub(crate) queued: usize,
    /// Those that were taken out, and whose copies did not end yet.
    pub(crate) copying: usize,
}

impl DemotionQueue {
    /// Adds an object. Returns false if the queue is full.
    pub(crate) fn push(&self, demotion: Demotion) -> bool {
        let waiting = &mut self.lock().waiting;
        let fits = waiting.len() < QUEUE_MAX;
        if fits {
            waiting.push_back(demotion);
            self.added.notify_one();
        }
        fits
    }

    /// Takes out the next object, and waits for one if there is none.
    pub(crate) async fn pop(&self) -> (Demotion, Copying<'_>) {
        loop {
            match self.take() {
                Some(taken) => {
                    // Of several that were added at once, the signal may have woken one worker only.
                    if self.backlog().queued > 0 {
                        self.added.notify_one();
                    }
                    return taken;
                }
                None => self.added.notified().await,
            }
        }
    }

    /// Numbers of its objects at one moment: none is in neither of them.
    pub(crate) fn backlog(&self) -> Backlog {
        let State { waiting, copying } = &*self.lock();
        Backlog { queued: waiting.len(), copying: *copying }
    }

    fn take(&self) -> Option<(Demotion, Copying<'_>)> {
        let mut state = self.lock();
        let demotion = state.waiting.pop_front()?;
        state.copying += 1;
        Some((demotion, Copying(self)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while holding it")
    }
}

impl Drop for Copying<'_> {
    fn drop(&mut self) {
        self.0.lock().copying -= 1;
    }
}

#[cfg(test)]
mod tests {
    use kvlease_types::{BucketName, Key};

    use super::*;

    #[tokio::test]
    async fn an_object_counts_from_its_adding_to_the_end_of_its_copy() {
        let queue = DemotionQueue::default();
        let counts = |queued, copying| assert_eq!(queue.backlog(), Backlog { queued, copying });
        for key in ["a", "b"] {
            let name = Name {
                bucket: BucketName::new("b").expect("a name"),
                key: Key::new(key).expect("a name"),
            };
            assert!(queue.push(Demotion { name, generation: 1, victim: None }));
        }
        counts(2, 0);
        let (_, first) = queue.pop().await;
        counts(1, 1);
        let (_, second) = queue.pop().await;
        counts(0, 2);
        drop(first);
        counts(0, 1);
        drop(second);
        counts(0, 0);
    }
}
