//! Locks, threads and signals of the checker.

pub(super) use kvlease_testing::model::{Handle, Notify};
pub(super) use loom::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
