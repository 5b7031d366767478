//! Queue of one tenant's connections that wait for their turn.

use std::{
    collections::VecDeque,
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A connection that waits.
pub(super) trait Waiting: Send + Sync {
    /// Grants the turn for which the connection waits. `false` if it has ended.
    fn grant(&self) -> bool;
}

/// See the module.
#[derive(Default)]
pub(super) struct TurnQueue(Mutex<State>);

#[derive(Default)]
struct State {
    /// Turns that connections have.
    at_work: usize,
    /// Connections that wait, the first one in front.
    waiting: VecDeque<Arc<dyn Waiting>>,
}

impl TurnQueue {
    /// Puts a connection behind all others that wait.
    pub(super) fn enter(&self, turn: Arc<dyn Waiting>) {
        self.state().waiting.push_back(turn);
    }

    /// The first connection that waits, if fewer than `most` have a turn. It has one from now on.
    pub(super) fn next(&self, most: usize) -> Option<Arc<dyn Waiting>> {
        self.state().next(most)
    }

    /// Takes a turn back, and returns who has the next one.
    pub(super) fn leave(&self, most: usize) -> Option<Arc<dyn Waiting>> {
        let mut state = self.state();
        state.at_work -= 1;
        state.next(most)
    }

    /// Takes a connection out that ends while it waits.
    pub(super) fn give_up(&self, turn: &dyn Waiting) {
        self.state().waiting.retain(|waits| !ptr::addr_eq(&raw const **waits, turn));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self, most: usize) -> Option<Arc<dyn Waiting>> {
        if self.at_work >= most {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.at_work += 1;
        Some(next)
    }
}
