//! A connector as its faces share it.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kvlease_client::{
    AdaptiveSpin, Connector, ConnectorConfig, Error, Key, Notice, PostReport, Posts, Severity,
};
use kvlease_sys::KeepAlive;
use pyo3::prelude::*;
use tokio::{runtime::Runtime, sync::OnceCell, time};

use crate::{
    errors::closed,
    external::returned,
    process::{lock, runtime},
    queue::state::State,
};

/// The name of the package's logger.
const LOGGER: &str = "kvlease";

/// How often a blocking call looks whether the user has interrupted the program.
const INTERRUPT_POLL: Duration = Duration::from_millis(100);

/// The longest object whose put is waited for in place: with a longer one the copy takes most of the time.
const SPIN_LEN_MAX: usize = 256 << 10;

/// One connector of this process, shared by its faces.
pub(crate) struct Shared {
    pub(crate) connector: Connector,
    pub(crate) posts: Posts,
    pub(crate) runtime: &'static Runtime,
    spin: AdaptiveSpin,
    closed: AtomicBool,
    closing: OnceCell<()>,
    /// Outcomes that no `flush_posts` had told of when the connector was closed.
    untold: Mutex<PostReport>,
    queues: Mutex<Vec<Weak<State>>>,
}

impl Shared {
    /// Makes one, which connects to nothing yet.
    pub(crate) fn open(py: Python<'_>, config: ConnectorConfig) -> PyResult<Arc<Self>> {
        let runtime = runtime(py)?;
        let _entered = runtime.enter();
        let connector = Connector::new(config);
        Ok(Arc::new(Self {
            posts: connector.posts(),
            connector,
            runtime,
            spin: AdaptiveSpin::default(),
            closed: AtomicBool::new(false),
            closing: OnceCell::new(),
            untold: Mutex::default(),
            queues: Mutex::default(),
        }))
    }

    /// Refuses if it was closed.
    pub(crate) fn ensure_open(&self) -> PyResult<()> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// Ends the connector's queues, then what it holds at the daemon. A second call waits for the
    /// first. [`Self::say_untold`] follows.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let close = async || {
            let queues = lock(&self.queues).clone();
            for queue in queues.iter().filter_map(Weak::upgrade) {
                queue.close().await;
            }
            self.connector.close().await;
            *lock(&self.untold) = self.posts.flush().await;
        };
        self.closing.get_or_init(close).await;
    }

    /// Remembers a queue, to end it with the connector.
    pub(crate) fn add_queue(&self, queue: &Arc<State>) {
        let mut queues = lock(&self.queues);
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(queue));
    }

    /// Says what a person should hear of, through the package's logger.
    pub(crate) fn say_notice(&self, py: Python<'_>) {
        while let Some(notice) = self.connector.take_notice() {
            if let Err(error) = log(py, &notice) {
                error.write_unraisable(py, None);
            }
        }
    }

    /// Says that posts failed of which the program did not ask, once the connector was closed.
    pub(crate) fn say_untold(&self, py: Python<'_>) {
        let PostReport { errors, more_errors, .. } = std::mem::take(&mut *lock(&self.untold));
        let count = errors.len() as u64 + more_errors;
        if count > 0 {
            say_failed_posts(py, count, errors.last());
        }
    }

    /// Waits for a result with the interpreter released, until the user interrupts the program.
    pub(crate) fn wait<T: Send>(
        &self,
        py: Python<'_>,
        operation: impl Future<Output = T> + Send,
    ) -> PyResult<T> {
        let mut operation = pin!(operation);
        loop {
            let slice = async { time::timeout(INTERRUPT_POLL, operation.as_mut()).await.ok() };
            if let Some(result) = py.detach(|| self.runtime.block_on(slice)) {
                self.say_notice(py);
                return Ok(result);
            }
            py.check_signals()?;
        }
    }

    /// The same for one small call, whose answer is waited for in place first.
    pub(crate) fn wait_spinning<T: Send>(
        &self,
        py: Python<'_>,
        operation: impl Future<Output = T> + Send,
    ) -> PyResult<T> {
        let mut operation = pin!(operation);
        let done = py.detach(|| {
            let _entered = self.runtime.enter();
            self.spin.poll(operation.as_mut())
        });
        done.map_or_else(|| self.wait(py, operation), Ok)
    }

    /// The same for a put of external memory of this length, whose answer is waited for in place first if
    /// the copy leaves time for that.
    pub(crate) fn wait_external_spinning<T: Send>(
        &self,
        py: Python<'_>,
        owners: &[KeepAlive],
        len: usize,
        put: impl Future<Output = T> + Send,
    ) -> PyResult<T> {
        let put = giving_back(owners, put);
        if len <= SPIN_LEN_MAX { self.wait_spinning(py, put) } else { self.wait(py, put) }
    }

    /// The same for an operation on external memory, which is the caller's again when it returns.
    pub(crate) fn wait_external<T: Send>(
        &self,
        py: Python<'_>,
        owners: &[KeepAlive],
        operation: impl Future<Output = T> + Send,
    ) -> PyResult<T> {
        self.wait(py, giving_back(owners, operation))
    }
}

/// Does an operation on external memory, and waits until that is the caller's again.
async fn giving_back<T>(owners: &[KeepAlive], operation: impl Future<Output = T>) -> T {
    let result = operation.await;
    returned(owners).await;
    result
}

/// Says that posted puts failed, with the last of them.
pub(crate) fn say_failed_posts(py: Python<'_>, count: u64, last: Option<&(Key, Error)>) {
    let last = last.map(|(key, error)| format!(", the last one: {error}, key=`{key}`"));
    let text = format!(
        "posted puts failed of which the program was not told: call flush_posts before close, and \
         more often, puts=`{count}`{}",
        last.unwrap_or_default()
    );
    if let Err(error) = log(py, &Notice { severity: Severity::Warning, text }) {
        error.write_unraisable(py, None);
    }
}

fn log(py: Python<'_>, notice: &Notice) -> PyResult<()> {
    let level = match notice.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
    };
    let logger = py.import("logging")?.call_method1("getLogger", (LOGGER,))?;
    logger.call_method1(level, ("%s", notice.text.as_str())).map(drop)
}
