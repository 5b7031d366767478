//! Locks, signals and timers of the files that the models compile a second time, over the checker's.

pub(super) use std::sync::{Mutex, MutexGuard};

pub(super) use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    time::sleep_until,
};
