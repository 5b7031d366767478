//! Queue of one tenant's connections that wait for their turn.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

/// See the module.
#[derive(Default, Debug)]
pub(super) struct WaitQueue(Mutex<State>);

#[derive(Default, Debug)]
struct State {
    /// Connections that have a turn.
    at_work: usize,
    /// Those that wait, by their places.
    waiting: BTreeMap<u64, Waker>,
    /// The place that the next one gets.
    next: u64,
}

impl WaitQueue {
    /// Takes a turn, of which there are at most `most` at a time, or a place in the queue. One that has a place keeps
    /// it, woken or not, so that it is the next one again.
    pub(super) fn enter(&self, most: usize, place: &mut Option<u64>, waker: &Waker) -> bool {
        let mut state = self.state();
        if state.at_work < most {
            state.at_work += 1;
            if let Some(place) = place.take() {
                state.waiting.remove(&place);
            }
            return true;
        }
        let place = *place.get_or_insert_with(|| {
            state.next += 1;
            state.next
        });
        state.waiting.insert(place, waker.clone());
        false
    }

    /// Ends a turn. Returns those that are to try next.
    pub(super) fn leave(&self, most: usize) -> Vec<Waker> {
        let mut state = self.state();
        state.at_work -= 1;
        state.next(most)
    }

    /// Gives up a place. If its connection was woken already, another one is to try in its stead.
    pub(super) fn give_up(&self, most: usize, place: u64) -> Vec<Waker> {
        let mut state = self.state();
        match state.waiting.remove(&place) {
            Some(_) => Vec::new(),
            None => state.next(most),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first ones that wait, as many as may have a turn now.
    fn next(&mut self, most: usize) -> Vec<Waker> {
        let free = most.saturating_sub(self.at_work);
        // Without any that waits this takes no memory.
        (0..free).map_while(|_| self.waiting.pop_first()).map(|(_, waker)| waker).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    };

    use kvlease_testing::Draws;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    /// A connection of a test.
    #[derive(Default)]
    struct Connection {
        place: Option<u64>,
        is_at_work: bool,
        woken: Arc<Woken>,
    }

    impl Connection {
        fn tries(&mut self, queue: &WaitQueue, most: usize) {
            self.woken.0.store(false, Relaxed);
            let waker = Waker::from(Arc::clone(&self.woken));
            self.is_at_work = queue.enter(most, &mut self.place, &waker);
            assert_eq!(self.place.is_none(), self.is_at_work);
        }

        fn ends(&mut self, queue: &WaitQueue, most: usize) {
            self.is_at_work = false;
            queue.leave(most).into_iter().for_each(Waker::wake);
        }
    }

    #[test]
    fn those_that_wait_have_their_turns_in_order() {
        let queue = WaitQueue::default();
        let mut all: [Connection; 4] = Default::default();
        all.iter_mut().for_each(|one| one.tries(&queue, 1));
        assert_eq!(all.each_ref().map(|one| one.is_at_work), [true, false, false, false]);
        for at in 0..3 {
            all[at].ends(&queue, 1);
            let woken = all.each_ref().map(|one| one.woken.0.load(Relaxed));
            assert_eq!(woken.iter().position(|woken| *woken), Some(at + 1));
            // Another one is quicker, and does not take the place away.
            let mut quicker = Connection::default();
            quicker.tries(&queue, 1);
            all[at + 1].tries(&queue, 1);
            assert!(quicker.is_at_work && !all[at + 1].is_at_work);
            quicker.ends(&queue, 1);
            assert!(all[at + 1].woken.0.load(Relaxed));
            all[at + 1].tries(&queue, 1);
            assert!(all[at + 1].is_at_work);
        }
    }

    /// Random acts of connections: all of them have their turns in the end.
    #[test]
    fn no_wake_up_is_lost() {
        for seed in 1..=200 {
            let (mut draws, queue) = (Draws::new(seed), WaitQueue::default());
            let mut all: Vec<Connection> = Vec::new();
            let mut waited = 0;
            for _ in 0..300 {
                let most = 1 + draws.below(4) as usize;
                match (draws.below(10), draws.index(all.len().max(1))) {
                    (0..=2, _) => {
                        all.push(Connection::default());
                        let at_work = all.iter().filter(|one| one.is_at_work).count();
                        all.last_mut().unwrap().tries(&queue, most);
                        assert_eq!(all.last().unwrap().is_at_work, at_work < most);
                    }
                    (3..=5, at) if at < all.len() && all[at].is_at_work => {
                        all[at].ends(&queue, most);
                        all.swap_remove(at);
                    }
                    // Also one that was not woken may try, for its client has sent something.
                    (6..=7, at) if at < all.len() && !all[at].is_at_work => {
                        all[at].tries(&queue, most);
                    }
                    (8, at) if at < all.len() && !all[at].is_at_work => {
                        let gone = all.swap_remove(at);
                        let next = queue.give_up(most, gone.place.unwrap());
                        next.into_iter().for_each(Waker::wake);
                    }
                    _ => {}
                }
                waited += all.iter().filter(|one| !one.is_at_work).count();
            }
            assert!(waited > 100, "{waited}");
            // The woken try, those at work end: so all have their turns.
            while !all.is_empty() {
                let before = all.len();
                for at in (0..all.len()).rev() {
                    if !all[at].is_at_work && all[at].woken.0.load(Relaxed) {
                        all[at].tries(&queue, 2);
                    }
                    if all[at].is_at_work {
                        all[at].ends(&queue, 2);
                        all.swap_remove(at);
                    }
                }
                assert!(all.len() < before, "{before} wait in vain, seed {seed}");
            }
        }
    }
}
