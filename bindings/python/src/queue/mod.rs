//! The operation queue: what asynchronous Python is built on.
//!
//! A `submit_*` call returns at once with the operation's number. When operations have finished,
//! an event descriptor becomes readable, and `drain` returns their numbers and results. An event
//! loop watches the descriptor; so does LMCache's adapter for native clients.

mod outcome;
mod state;

use std::{
    future::Future,
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::Duration,
};

use kvlease_client::{Error, ExternalBuffer, ExternalBytes, Key, PutBody};
use kvlease_sys::KeepAlive;
use pyo3::{
    IntoPyObjectExt,
    prelude::*,
    types::{PyAny, PyList},
};
use tokio::task::JoinSet;

pub(crate) use state::State;

use crate::{
    arguments,
    connector::Connector,
    object::OpenObject,
    process::OfProcess,
    results::{is_stored, list_of},
    shared::Shared,
};
use outcome::Outcome;

/// A small part of an object that goes first, and the rest, which stays where it is.
type Parts<'py> = (Vec<u8>, Bound<'py, PyAny>);

/// More bytes than this take longer to copy than a loop should be held up.
const SMALL_LEN_MAX: usize = 1 << 20;

/// More keys than this take a daemon longer than that, fast lane or not.
const SMALL_KEYS_MAX: usize = 1024;

/// Starts operations, and hands their results over when they are asked for.
#[pyclass(frozen, weakref, module = "kvlease")]
pub(crate) struct Queue {
    inner: OfProcess<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    state: Arc<State>,
}

#[pymethods]
impl Queue {
    #[new]
    fn new(connector: &Connector) -> PyResult<Self> {
        let shared = Arc::clone(connector.open()?);
        let state = Arc::new(State::new()?);
        shared.add_queue(&state);
        Ok(Self { inner: OfProcess::new(Inner { shared, state }) })
    }

    fn event_fd(&self) -> PyResult<RawFd> {
        Ok(self.inner.get()?.state.event.as_raw_fd())
    }

    fn submit_open(&self, keys: Vec<String>, head_len: usize) -> PyResult<u64> {
        let keys = arguments::keys(&keys)?;
        self.submit(Vec::new(), |connector| async move {
            Outcome::Objects(connector.batched_open(&keys, head_len).await)
        })
    }

    fn open_or_submit(
        &self,
        py: Python<'_>,
        keys: Vec<String>,
        head_len: usize,
    ) -> PyResult<Py<PyAny>> {
        let keys = arguments::keys(&keys)?;
        let (is_small, owners) = (self.is_small(keys.len(), 0)?, Vec::new());
        self.do_or_submit(py, is_small, owners, |connector| async move {
            Outcome::Objects(connector.batched_open(&keys, head_len).await)
        })
    }

    fn exists_or_submit(&self, py: Python<'_>, keys: Vec<String>) -> PyResult<Py<PyAny>> {
        let keys = arguments::keys(&keys)?;
        let (is_small, owners) = (self.is_small(keys.len(), 0)?, Vec::new());
        self.do_or_submit(py, is_small, owners, |connector| async move {
            Outcome::Flags(connector.batched_exists(&keys).await)
        })
    }

    fn lookup_or_submit(&self, py: Python<'_>, keys: Vec<String>) -> PyResult<Py<PyAny>> {
        let keys = arguments::keys(&keys)?;
        let (is_small, owners) = (self.is_small(keys.len(), 0)?, Vec::new());
        self.do_or_submit(py, is_small, owners, |connector| async move {
            Outcome::Count(connector.lookup_prefix(&keys).await)
        })
    }

    fn put_or_submit(
        &self,
        py: Python<'_>,
        keys: Vec<String>,
        objects: Vec<Parts<'_>>,
    ) -> PyResult<Py<PyAny>> {
        let Puts { keys, bodies, owners, len } = Puts::of(keys, objects)?;
        // Over HTTP even a small object takes longer than anybody has patience for.
        let is_small = self.inner.get()?.shared.connector.is_fast() && self.is_small(1, len)?;
        self.do_or_submit(py, is_small, owners, |connector| async move {
            let stored = connector.batched_put(keys.into_iter().zip(bodies).collect()).await;
            Outcome::Flags(stored.into_iter().map(|stored| stored.map(is_stored)).collect())
        })
    }

    fn submit_read_rest(
        &self,
        objects: Vec<(Bound<'_, OpenObject>, Bound<'_, PyAny>)>,
    ) -> PyResult<u64> {
        let reads = unread(objects)?;
        let owners = reads.iter().map(|(_, buffer)| buffer.keep_alive()).collect();
        self.submit(owners, |_| async move { Outcome::Flags(read_rest(reads).await) })
    }

    fn read_rest_here(
        &self,
        py: Python<'_>,
        objects: Vec<(Bound<'_, OpenObject>, Bound<'_, PyAny>)>,
    ) -> PyResult<Py<PyList>> {
        let runtime = self.inner.get()?.shared.runtime;
        let reads = unread(objects)?;
        // The buffers are let go behind the copies, attached to the interpreter again.
        let (results, _buffers): (Vec<_>, Vec<_>) = py.detach(|| {
            let _entered = runtime.enter();
            let read = |(object, mut buffer): Read| {
                (object.read_rest_here(&mut buffer).map(|()| true), buffer)
            };
            reads.into_iter().map(read).unzip()
        });
        list_of(py, results, |read| read.into_py_any(py))
    }

    fn submit_put(&self, keys: Vec<String>, objects: Vec<Parts<'_>>) -> PyResult<u64> {
        let Puts { keys, bodies, owners, .. } = Puts::of(keys, objects)?;
        self.submit(owners, |connector| async move {
            let stored = connector.batched_put(keys.into_iter().zip(bodies).collect()).await;
            Outcome::Flags(stored.into_iter().map(|stored| stored.map(is_stored)).collect())
        })
    }

    fn submit_get_into(&self, keys: Vec<String>, buffers: Vec<Bound<'_, PyAny>>) -> PyResult<u64> {
        let keys = arguments::keys(&keys)?;
        let buffers = arguments::buffers(&keys, &buffers)?;
        let owners = buffers.iter().map(ExternalBuffer::keep_alive).collect();
        let objects = keys.into_iter().zip(buffers).collect();
        self.submit(owners, |connector| async move {
            Outcome::Flags(connector.batched_get_into(objects).await)
        })
    }

    fn submit_exists(&self, keys: Vec<String>) -> PyResult<u64> {
        let keys = arguments::keys(&keys)?;
        self.submit(Vec::new(), |connector| async move {
            Outcome::Flags(connector.batched_exists(&keys).await)
        })
    }

    fn submit_lookup(&self, keys: Vec<String>) -> PyResult<u64> {
        let keys = arguments::keys(&keys)?;
        self.submit(Vec::new(), |connector| async move {
            Outcome::Count(connector.lookup_prefix(&keys).await)
        })
    }

    fn submit_hold(&self, keys: Vec<String>) -> PyResult<u64> {
        let keys = arguments::keys(&keys)?;
        self.submit(
            Vec::new(),
            |connector| async move { Outcome::Flags(connector.hold(&keys).await) },
        )
    }

    fn submit_remove(&self, keys: Vec<String>) -> PyResult<u64> {
        let keys = arguments::keys(&keys)?;
        self.submit(Vec::new(), |connector| async move {
            Outcome::Flags(connector.batched_remove(&keys).await)
        })
    }

    #[pyo3(signature = (prefix = ""))]
    fn submit_list(&self, prefix: &str) -> PyResult<u64> {
        let prefix = prefix.to_owned();
        self.submit(Vec::new(), |connector| async move {
            let listed = connector.list(&prefix).await;
            let names = listed.map(|listed| listed.into_iter().map(|object| object.key).collect());
            Outcome::Names(names)
        })
    }

    fn submit_ping(&self) -> PyResult<u64> {
        self.submit(Vec::new(), |connector| async move { Outcome::Done(connector.ping().await) })
    }

    fn submit_close(&self) -> PyResult<u64> {
        let inner = self.inner.get()?;
        let shared = Arc::clone(&inner.shared);
        Ok(inner.state.start_close(inner.shared.runtime, async move {
            shared.close().await;
            Outcome::Done(Ok(()))
        }))
    }

    #[pyo3(signature = (wait_s = 0.0))]
    fn drain(&self, py: Python<'_>, wait_s: f64) -> PyResult<Vec<(u64, Py<PyAny>)>> {
        let Inner { shared, state } = self.inner.get()?;
        let finished = match Duration::try_from_secs_f64(wait_s) {
            Ok(limit) if !limit.is_zero() => py.detach(|| state.take_within(limit)),
            _ => state.take(),
        };
        shared.say_notice(py);
        finished.into_iter().map(|end| Ok((end.id, end.outcome.into_python(py)?))).collect()
    }
}

impl Queue {
    /// Whether a call is answered so soon that its answer is waited for where it is made: one key,
    /// or many over the fast lane, and few bytes to copy.
    fn is_small(&self, keys: usize, len: usize) -> PyResult<bool> {
        let connector = &self.inner.get()?.shared.connector;
        Ok(len <= SMALL_LEN_MAX && (keys == 1 || keys <= SMALL_KEYS_MAX && connector.is_fast()))
    }

    /// The operation's result, in a tuple, if it is small and comes at once; or its number.
    fn do_or_submit<F>(
        &self,
        py: Python<'_>,
        is_small: bool,
        owners: Vec<KeepAlive>,
        operation: impl FnOnce(kvlease_client::Connector) -> F,
    ) -> PyResult<Py<PyAny>>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let inner = self.inner.get()?;
        let (state, runtime) = (&inner.state, inner.shared.runtime);
        let operation = operation(inner.shared.connector.clone());
        if !is_small {
            return state.start(runtime, owners, operation)?.into_py_any(py);
        }
        match state.do_or_start(py, runtime, owners, operation)? {
            Ok(outcome) => (outcome.into_python(py)?,).into_py_any(py),
            Err(number) => number.into_py_any(py),
        }
    }

    fn submit<F>(
        &self,
        owners: Vec<KeepAlive>,
        operation: impl FnOnce(kvlease_client::Connector) -> F,
    ) -> PyResult<u64>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let inner = self.inner.get()?;
        let operation = operation(inner.shared.connector.clone());
        inner.state.start(inner.shared.runtime, owners, operation)
    }
}

/// What a put is about.
struct Puts {
    keys: Vec<Key>,
    bodies: Vec<PutBody>,
    /// Who owns the bytes of the bodies, and how many bytes those are.
    owners: Vec<KeepAlive>,
    len: usize,
}

impl Puts {
    fn of(keys: Vec<String>, objects: Vec<Parts<'_>>) -> PyResult<Self> {
        let keys = arguments::keys(&keys)?;
        let (heads, data): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
        let data = arguments::payloads(&keys, &data)?;
        let owners = data.iter().map(ExternalBytes::keep_alive).collect();
        let len = data.iter().map(|data| data.as_ref().len()).sum();
        let bodies = heads.into_iter().zip(data).map(|(head, data)| PutBody::headed(head, data));
        Ok(Self { keys, bodies: bodies.collect(), owners, len })
    }
}

/// An object and the buffer for its rest.
type Read = (kvlease_client::OpenObject, ExternalBuffer);

/// Checks all buffers before it takes the first object.
fn unread(objects: Vec<(Bound<'_, OpenObject>, Bound<'_, PyAny>)>) -> PyResult<Vec<Read>> {
    let buffers = objects
        .iter()
        .map(|(object, buffer)| arguments::buffer(buffer, &object.get().key))
        .collect::<PyResult<Vec<_>>>()?;
    objects
        .iter()
        .zip(buffers)
        .map(|((object, _), buffer)| Ok((object.get().take()?, buffer)))
        .collect()
}

/// Reads all at once, as far as the connector's threads for copies allow.
async fn read_rest(reads: Vec<Read>) -> Vec<Result<bool, Error>> {
    let mut results: Vec<Result<bool, Error>> = reads.iter().map(|_| Ok(false)).collect();
    let mut running = JoinSet::new();
    for (index, (object, buffer)) in reads.into_iter().enumerate() {
        running.spawn(async move { (index, object.read_rest(buffer).await) });
    }
    while let Some(read) = running.join_next().await {
        // A read that panicked stays a miss.
        if let Ok((index, read)) = read {
            results[index] = read.map(|()| true);
        }
    }
    results
}
