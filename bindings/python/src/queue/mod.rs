//! The operation queue: the base for asynchronous Python.
//!
//! A `submit_*` call returns at once with the operation's number. When operations have finished,
//! an event descriptor becomes readable, and `drain` returns their numbers and results. An event
//! loop watches the descriptor; so does LMCache's adapter for native clients.
//!
//! An `*_or_submit` call is the same operation for callers that would wait for it: one that is small
//! is done by the call, and returns its result, if its answers come at once.

mod operation;
mod outcome;
pub(crate) mod state;

use std::{
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::Duration,
};

use kvlease_client::ByteSize;
use kvlease_sys::OfProcess;
use pyo3::{
    IntoPyObjectExt,
    prelude::*,
    pybacked::PyBackedStr,
    types::{PyAny, PyList},
};

use crate::{
    arguments, connector::Connector, object::OpenObject, process::here, reservation::Reservation,
    results::list_of, shared::Shared,
};
use operation::{Operation, Parts, Read, unread};
use outcome::Outcome;
use state::State;

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

    /// The descriptor, open as long as the queue lives. Only `drain` may read it.
    fn event_fd(&self) -> PyResult<RawFd> {
        Ok(here(&self.inner)?.state.event.as_raw_fd())
    }

    /// Finds objects and reads their first bytes: `list[OpenObject | None | KvleaseError]`.
    ///
    /// `BusyError` is the value of a key to be asked for again when the others were read.
    fn submit_open(&self, keys: Vec<PyBackedStr>, head_len: usize) -> PyResult<u64> {
        self.submit(Operation::Open { keys: arguments::keys(&keys)?, head_len })
    }

    /// Tells which objects there are: `list[_Flag]`.
    fn submit_exists(&self, keys: Vec<PyBackedStr>) -> PyResult<u64> {
        self.submit(Operation::Exists { keys: arguments::keys(&keys)? })
    }

    /// Counts the objects before the first that is missing: `int`.
    fn submit_lookup(&self, keys: Vec<PyBackedStr>) -> PyResult<u64> {
        self.submit(Operation::Lookup { keys: arguments::keys(&keys)? })
    }

    /// Stores objects, each a head and the bytes behind it: `list[_Flag]`, as of `put`.
    fn submit_put(&self, keys: Vec<PyBackedStr>, objects: Vec<Parts<'_>>) -> PyResult<u64> {
        self.submit(Operation::put(keys, objects)?)
    }

    /// As `submit_open`, but a small call whose answer comes at once returns it, in a tuple.
    fn open_or_submit(
        &self,
        py: Python<'_>,
        keys: Vec<PyBackedStr>,
        head_len: usize,
    ) -> PyResult<Py<PyAny>> {
        self.do_or_submit(py, Operation::Open { keys: arguments::keys(&keys)?, head_len })
    }

    /// As `submit_exists`, but a small call may return its answer, in a tuple.
    fn exists_or_submit(&self, py: Python<'_>, keys: Vec<PyBackedStr>) -> PyResult<Py<PyAny>> {
        self.do_or_submit(py, Operation::Exists { keys: arguments::keys(&keys)? })
    }

    /// As `submit_lookup`, but a small call may return its answer, in a tuple.
    fn lookup_or_submit(&self, py: Python<'_>, keys: Vec<PyBackedStr>) -> PyResult<Py<PyAny>> {
        self.do_or_submit(py, Operation::Lookup { keys: arguments::keys(&keys)? })
    }

    /// As `submit_put`, but a small call may return its answer, in a tuple.
    fn put_or_submit(
        &self,
        py: Python<'_>,
        keys: Vec<PyBackedStr>,
        objects: Vec<Parts<'_>>,
    ) -> PyResult<Py<PyAny>> {
        self.do_or_submit(py, Operation::put(keys, objects)?)
    }

    /// Copies what follows the heads until each buffer is full: `list[_Flag]`.
    fn submit_read_rest(
        &self,
        objects: Vec<(Bound<'_, OpenObject>, Bound<'_, PyAny>)>,
    ) -> PyResult<u64> {
        self.submit(Operation::ReadRest { reads: unread(objects)? })
    }

    /// Copies on the calling thread, for little and for what `is_shared`: `list[_Flag]`.
    fn read_rest_here(
        &self,
        py: Python<'_>,
        objects: Vec<(Bound<'_, OpenObject>, Bound<'_, PyAny>)>,
    ) -> PyResult<Py<PyList>> {
        let runtime = here(&self.inner)?.shared.runtime;
        let reads = unread(objects)?;
        // The buffers are released after the copies, attached to the interpreter again.
        let (results, _buffers): (Vec<_>, Vec<_>) = py.detach(|| {
            let _entered = runtime.enter();
            let read = |(object, mut buffer): Read| {
                (object.read_rest_here(&mut buffer).map(|()| true), buffer)
            };
            reads.into_iter().map(read).unzip()
        });
        list_of(py, results, |read| read.into_py_any(py))
    }

    /// Reads objects, each into a buffer of its length, none of them shared: `list[_Flag]`.
    fn submit_get_into(
        &self,
        keys: Vec<PyBackedStr>,
        buffers: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let keys = arguments::keys(&keys)?;
        let buffers = arguments::buffers(&keys, &buffers)?;
        self.submit(Operation::GetInto { objects: keys.into_iter().zip(buffers).collect() })
    }

    /// Leases objects, compared with their checksums: `list[View | None | KvleaseError]`.
    ///
    /// They stay where they are. Without shared memory each key has an error.
    fn submit_view(&self, keys: Vec<PyBackedStr>) -> PyResult<u64> {
        self.submit(Operation::View { keys: arguments::keys(&keys)? })
    }

    /// Reserves space of these lengths: `list[Reservation | None | KvleaseError]`.
    ///
    /// `None` is the value of a key that has an object, or one that is being written.
    fn submit_reserve(&self, keys: Vec<PyBackedStr>, lengths: Vec<u64>) -> PyResult<u64> {
        arguments::same_number(keys.len(), lengths.len())?;
        let lengths = lengths.into_iter().map(ByteSize::new);
        let objects = arguments::keys(&keys)?.into_iter().zip(lengths).collect();
        self.submit(Operation::Reserve { objects })
    }

    /// Stores the objects that were written into their space: `list[_Flag]`, as of `put`.
    fn submit_commit(&self, reservations: Vec<Bound<'_, Reservation>>) -> PyResult<u64> {
        let take = |reservation: &Bound<'_, Reservation>| reservation.get().take();
        let written = reservations.iter().map(take).collect::<PyResult<_>>()?;
        self.submit(Operation::Commit { written })
    }

    /// Tells which objects there are, and keeps those for a read soon after: `list[_Flag]`.
    fn submit_hold(&self, keys: Vec<PyBackedStr>) -> PyResult<u64> {
        self.submit(Operation::Hold { keys: arguments::keys(&keys)? })
    }

    /// Removes objects, where the daemon can: `list[_Flag]`.
    fn submit_remove(&self, keys: Vec<PyBackedStr>) -> PyResult<u64> {
        self.submit(Operation::Remove { keys: arguments::keys(&keys)? })
    }

    /// The keys of all objects that start so, where the daemon can tell: `list[str]`.
    #[pyo3(signature = (prefix = ""))]
    fn submit_list(&self, prefix: &str) -> PyResult<u64> {
        self.submit(Operation::List { prefix: prefix.to_owned() })
    }

    /// Asks whether the daemon answers: `True`.
    fn submit_ping(&self) -> PyResult<u64> {
        self.submit(Operation::Ping)
    }

    /// Closes the connector and its queues: `True`. Later submissions are refused.
    fn submit_close(&self) -> PyResult<u64> {
        let inner = here(&self.inner)?;
        let shared = Arc::clone(&inner.shared);
        Ok(inner.state.start_close(inner.shared.runtime, async move {
            shared.close().await;
            Outcome::Done(Ok(()))
        }))
    }

    /// Number and result of each finished operation; waits at most `wait_s` for the first.
    #[pyo3(signature = (wait_s = 0.0))]
    fn drain(&self, py: Python<'_>, wait_s: f64) -> PyResult<Vec<(u64, Py<PyAny>)>> {
        let Inner { shared, state } = here(&self.inner)?;
        let finished = match Duration::try_from_secs_f64(wait_s) {
            Ok(limit) if !limit.is_zero() => py.detach(|| state.take_within(limit)),
            _ => state.take(),
        };
        shared.say_notice(py);
        finished.into_iter().map(|end| Ok((end.id, end.outcome.into_python(py)?))).collect()
    }
}

impl Queue {
    /// The operation's number.
    fn submit(&self, operation: Operation) -> PyResult<u64> {
        let Inner { shared, state } = here(&self.inner)?;
        let owners = operation.owners();
        state.start(shared.runtime, owners, operation.run(shared.connector.clone()))
    }

    /// The operation's result, in a tuple, if it is small and comes at once; or its number.
    fn do_or_submit(&self, py: Python<'_>, operation: Operation) -> PyResult<Py<PyAny>> {
        let Inner { shared, state } = here(&self.inner)?;
        if !operation.is_small(&shared.connector) {
            return self.submit(operation)?.into_py_any(py);
        }
        let owners = operation.owners();
        let run = operation.run(shared.connector.clone());
        match state.do_or_start(py, shared.runtime, owners, run)? {
            Ok(outcome) => (outcome.into_python(py)?,).into_py_any(py),
            Err(number) => number.into_py_any(py),
        }
    }
}
