//! Locks, threads and signals of the files that the models compile a second time, over the checker's.

pub(super) use std::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

pub(super) use tokio::{runtime::Handle, sync::Notify};
