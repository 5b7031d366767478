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

/// Interpreter of a process. A process may have several, each with an end of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Interpreter {
    process: u32,
    /// Address of the module `builtins`, which each interpreter has for itself.
    builtins: usize,
}

impl Interpreter {
    fn current(py: Python<'_>) -> PyResult<Self> {
        let builtins = py.import("builtins")?.as_ptr().addr();
        Ok(Self { process: process::id(), builtins })
    }
}

/// The connectors of this process, and of the one that it was forked from, each with the interpreter
/// that made it.
///
/// Like the runtime, it is locked only by threads that are attached to the interpreter.
static CONNECTORS: Mutex<Vec<(Interpreter, Weak<Shared>)>> = Mutex::new(Vec::new());

/// Remembers a connector until it is gone.
pub(crate) fn register(py: Python<'_>, shared: &Arc<Shared>) -> PyResult<()> {
    let interpreter = Interpreter::current(py)?;
    let mut connectors = lock(&CONNECTORS);
    connectors.retain(|(_, connector)| connector.strong_count() > 0);
    connectors.push((interpreter, Arc::downgrade(shared)));
    Ok(())
}

/// Closes every connector that this interpreter made, all at the same time.
#[pyfunction]
pub(crate) fn close_all(py: Python<'_>) -> PyResult<()> {
    let here = Interpreter::current(py)?;
    let own: Vec<_> = lock(&CONNECTORS).extract_if(.., |(made_by, _)| *made_by == here).collect();
    let open: Vec<Arc<Shared>> =
        own.into_iter().filter_map(|(_, connector)| connector.upgrade()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let runtime = runtime(py)?;
    py.detach(|| {
        runtime.block_on(async {
            let mut closing = JoinSet::new();
            for connector in &open {
                let connector = Arc::clone(connector);
                closing.spawn(async move { connector.close().await });
            }
            while closing.join_next().await.is_some() {}
        });
    });
    open.iter().for_each(|connector| connector.say_untold(py));
    Ok(())
}
