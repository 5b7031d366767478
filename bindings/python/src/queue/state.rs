//! The two lists of a queue: what is running and what has finished.
//!
//! Operations run on threads of the runtime, which never need the interpreter: what has to be let
//! go under it, such as external memory, waits in the list of finished operations until Python
//! takes it. Nothing that was submitted is lost: an operation that ends without a result finishes
//! as abandoned.

use std::{
    collections::HashMap,
    future::Future,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use kvlease_client::AdaptiveSpin;
use kvlease_sys::KeepAlive;
use pyo3::{PyResult, Python};
use rustix::event::{EventfdFlags, eventfd};
use tokio::{
    runtime::Runtime,
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::outcome::Outcome;
use crate::{
    errors::{BusyError, closed},
    external::returned,
    process::lock,
};

/// The most operations that are submitted and whose results are not taken.
pub(crate) const PENDING_MAX: usize = 1 << 16;

/// How long a closing queue waits for running operations before it gives them up.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How long it waits for those to end.
const ABANDON_WAIT: Duration = Duration::from_secs(1);

/// Between two looks at what is waited for.
const POLL: Duration = Duration::from_millis(1);

/// A queue as its operations see it.
pub(crate) struct State {
    lists: Mutex<Lists>,
    spin: AdaptiveSpin,
    /// Tells a caller that waits in [`Self::take_within`].
    arrived: Condvar,
    /// Readable while something has finished.
    pub(crate) event: OwnedFd,
}

#[derive(Default)]
struct Lists {
    closed: bool,
    last_id: u64,
    running: HashMap<u64, Option<AbortHandle>>,
    finished: Vec<Finished>,
    /// Callers that do an operation themselves.
    in_place: usize,
    /// Callers in [`State::take_within`].
    waiting: usize,
    /// Whether the event was written since it was read last.
    announced: bool,
}

impl Lists {
    fn is_busy(&self) -> bool {
        !self.running.is_empty() || self.in_place > 0
    }
}

/// The end of one operation.
pub(crate) struct Finished {
    pub(crate) id: u64,
    pub(crate) outcome: Outcome,
    #[expect(dead_code, reason = "kept to be dropped by a thread attached to the interpreter")]
    owners: Vec<KeepAlive>,
}

impl State {
    pub(crate) fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (lists, spin) = (Mutex::default(), AdaptiveSpin::default());
        Ok(Self { lists, spin, arrived: Condvar::new(), event })
    }

    /// Starts an operation and names it.
    ///
    /// # Errors
    ///
    /// `ClosedError`, and `BusyError` beyond [`PENDING_MAX`].
    pub(crate) fn start(
        self: &Arc<Self>,
        runtime: &Runtime,
        owners: Vec<KeepAlive>,
        operation: impl Future<Output = Outcome> + Send + 'static,
    ) -> PyResult<u64> {
        let mut lists = lock(&self.lists);
        if lists.closed {
            return Err(closed());
        }
        let pending = lists.running.len() + lists.finished.len();
        if pending >= PENDING_MAX {
            return Err(BusyError::new_err(format!(
                "too many operations are pending: drain the queue, pending=`{pending}`"
            )));
        }
        lists.last_id += 1;
        let running = Running { state: Arc::clone(self), id: lists.last_id, owners };
        // The task cannot end before it is in the list: that takes the lock.
        let task = runtime.spawn(run(running, operation));
        let id = lists.last_id;
        lists.running.insert(id, Some(task.abort_handle()));
        Ok(id)
    }

    /// Does an operation at once if its answers come while they are waited for in place; otherwise
    /// starts it and names it.
    ///
    /// # Errors
    ///
    /// Those of [`Self::start`].
    pub(crate) fn do_or_start(
        self: &Arc<Self>,
        py: Python<'_>,
        runtime: &Runtime,
        owners: Vec<KeepAlive>,
        operation: impl Future<Output = Outcome> + Send + 'static,
    ) -> PyResult<Result<Outcome, u64>> {
        {
            let mut lists = lock(&self.lists);
            if lists.closed {
                return Err(closed());
            }
            lists.in_place += 1;
        }
        let mut operation = Box::pin(operation);
        let done = py.detach(|| {
            let _entered = runtime.enter();
            self.spin.poll(operation.as_mut())
        });
        // Attached again: only now may the interpreter end.
        lock(&self.lists).in_place -= 1;
        match done {
            Some(outcome) => Ok(Ok(outcome)),
            None => self.start(runtime, owners, operation).map(Err),
        }
    }

    /// Starts what closes the queue's connector and finishes like an operation. It is none: the
    /// close would wait for itself.
    pub(crate) fn start_close(
        self: &Arc<Self>,
        runtime: &Runtime,
        close: impl Future<Output = Outcome> + Send + 'static,
    ) -> u64 {
        let mut lists = lock(&self.lists);
        lists.last_id += 1;
        let id = lists.last_id;
        let state = Arc::clone(self);
        runtime.spawn(async move {
            let outcome = close.await;
            state.finish(Finished { id, outcome, owners: Vec::new() });
        });
        id
    }

    /// Takes the operations that have finished since the last call.
    pub(crate) fn take(&self) -> Vec<Finished> {
        let mut lists = lock(&self.lists);
        self.forget_announcement();
        lists.announced = false;
        std::mem::take(&mut lists.finished)
    }

    /// The same, but waits for the first, at most `limit`.
    pub(crate) fn take_within(&self, limit: Duration) -> Vec<Finished> {
        let mut lists = lock(&self.lists);
        lists.waiting += 1;
        let (mut lists, _) = self
            .arrived
            .wait_timeout_while(lists, limit, |lists| lists.finished.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        lists.waiting -= 1;
        if lists.announced {
            self.forget_announcement();
            lists.announced = false;
        }
        std::mem::take(&mut lists.finished)
    }

    /// Refuses new operations and waits for those that run; gives up what takes too long.
    pub(crate) async fn close(&self) {
        lock(&self.lists).closed = true;
        if !self.is_idle_within(CLOSE_WAIT).await {
            for task in lock(&self.lists).running.values().flatten() {
                task.abort();
            }
            self.is_idle_within(ABANDON_WAIT).await;
        }
    }

    async fn is_idle_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while lock(&self.lists).is_busy() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(POLL).await;
        }
        true
    }

    fn finish(&self, finished: Finished) {
        let announce = {
            let mut lists = lock(&self.lists);
            lists.running.remove(&finished.id);
            lists.finished.push(finished);
            let announce = lists.waiting == 0 && !lists.announced;
            lists.announced |= announce;
            announce
        };
        if announce {
            // The counter cannot be full: it is reset whenever it is read.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        } else {
            self.arrived.notify_all();
        }
    }

    /// Makes the event unreadable until the next announcement.
    fn forget_announcement(&self) {
        // An event that was not announced has nothing to read.
        let _ = rustix::io::read(&self.event, &mut [0u8; 8]);
    }
}

/// An operation that is running, and finishes in every case.
struct Running {
    state: Arc<State>,
    id: u64,
    owners: Vec<KeepAlive>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let owners = std::mem::take(&mut self.owners);
        if self.id != 0 {
            let outcome = Outcome::Abandoned;
            self.state.finish(Finished { id: self.id, outcome, owners });
        }
    }
}

async fn run(mut running: Running, operation: impl Future<Output = Outcome>) {
    let outcome = operation.await;
    returned(&running.owners).await;
    let (id, owners) = (std::mem::take(&mut running.id), std::mem::take(&mut running.owners));
    running.state.finish(Finished { id, outcome, owners });
}
