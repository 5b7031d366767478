//! Oracle of the threads of one process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::state::KeyState;

/// States of all keys, by their index, for the threads of one process.
#[derive(Debug)]
pub struct Oracle(Mutex<Vec<KeyState>>);

impl Oracle {
    /// Oracle of `keys` keys, with nothing stored.
    pub fn new(keys: usize) -> Self {
        Self(Mutex::new(vec![KeyState::default(); keys]))
    }

    /// State of a key.
    pub fn get(&self, index: usize) -> KeyState {
        self.lock()[index]
    }

    /// Changes the state of a key.
    pub fn update<T>(&self, index: usize, change: impl FnOnce(&mut KeyState) -> T) -> T {
        change(&mut self.lock()[index])
    }

    /// Keys that have an object unless it was evicted.
    pub fn promised(&self) -> Vec<usize> {
        let states = self.lock();
        (0..states.len()).filter(|index| states[*index].is_promised()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<KeyState>> {
        // No change of a state panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
