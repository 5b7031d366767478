//! The end of the interpreter: everything that is open is closed, within a bounded time, before
//! the memory that operations use goes away.

use std::{
    process,
    sync::{Arc, Mutex, Weak},
};

use pyo3::prelude::*;
use tokio::task::JoinSet;

use crate::{
    process::{lock, runtime},
    shared::Shared,
};

/// The connectors of this process, and of the one that it was forked from.
///
/// Like the runtime, it is locked only by threads that are attached to the interpreter.
static CONNECTORS: Mutex<Vec<(u32, Weak<Shared>)>> = Mutex::new(Vec::new());

/// Remembers a connector until it is gone.
pub(crate) fn register(_attached: Python<'_>, shared: &Arc<Shared>) {
    let mut connectors = lock(&CONNECTORS);
    connectors.retain(|(_, connector)| connector.strong_count() > 0);
    connectors.push((process::id(), Arc::downgrade(shared)));
}

/// Closes every connector that this process made, all at the same time.
#[pyfunction]
pub(crate) fn close_all(py: Python<'_>) -> PyResult<()> {
    let connectors = std::mem::take(&mut *lock(&CONNECTORS));
    let here = connectors.into_iter().filter(|(pid, _)| *pid == process::id());
    let open: Vec<Arc<Shared>> = here.filter_map(|(_, connector)| connector.upgrade()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let runtime = runtime(py)?;
    py.detach(|| {
        runtime.block_on(async {
            let mut closing = JoinSet::new();
            for connector in open {
                closing.spawn(async move { connector.close().await });
            }
            while closing.join_next().await.is_some() {}
        });
    });
    Ok(())
}
