//! Values that belong to one process: the runtime, and all that a forked child must not use.
//!
//! A fork copies memory but no threads, and shares connections and event descriptors with the
//! parent. A child that used them would take the parent's replies, and one that closed them the
//! usual way would deregister the parent's sockets. So a value of another process is refused on
//! use and forgotten on drop.

use std::{
    process,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kvlease_sys::OfProcess;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::errors::ClosedError;

/// Threads that wait for sockets. Copies have threads of their own.
const WORKER_THREADS: usize = 2;

/// The runtime and the process that made it.
///
/// It is locked by threads that are attached to the interpreter, and only while they are: Python
/// forks on such a thread as well, so no child finds it locked.
static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);

/// The runtime of this process, made on first use. It lives until the process ends: its threads
/// never need the interpreter, which may end before them.
pub(crate) fn runtime(_attached: Python<'_>) -> PyResult<&'static Runtime> {
    let mut current = lock(&RUNTIME);
    match *current {
        Some((pid, runtime)) if pid == process::id() => Ok(runtime),
        _ => {
            let made = Builder::new_multi_thread()
                .worker_threads(WORKER_THREADS)
                .thread_name("kvlease")
                .enable_all()
                .build()?;
            let runtime: &'static Runtime = Box::leak(Box::new(made));
            *current = Some((process::id(), runtime));
            Ok(runtime)
        }
    }
}

/// The value, in the process that made it.
///
/// # Errors
///
/// [`ClosedError`] in a forked child.
pub(crate) fn here<T>(value: &OfProcess<T>) -> PyResult<&T> {
    value.get().ok_or_else(forked)
}

/// The value for good, in the process that made it.
///
/// # Errors
///
/// [`ClosedError`] in a forked child.
pub(crate) fn into_here<T>(value: OfProcess<T>) -> PyResult<T> {
    value.into_inner().ok_or_else(forked)
}

fn forked() -> PyErr {
    ClosedError::new_err(
        "the connector was made before the process forked: make a new one in the child",
    )
}

/// A lock whose holders cannot leave what it protects half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
