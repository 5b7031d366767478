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

use kvlease_client::{AdaptiveSpin, Connector, ConnectorConfig, Notice, Severity};
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

/// One connector of this process, shared by its faces.
pub(crate) struct Shared {
    pub(crate) connector: Connector,
    pub(crate) runtime: &'static Runtime,
    spin: AdaptiveSpin,
    closed: AtomicBool,
    closing: OnceCell<()>,
    queues: Mutex<Vec<Weak<State>>>,
}

impl Shared {
    /// Makes one, which connects to nothing yet.
    pub(crate) fn open(py: Python<'_>, config: ConnectorConfig) -> PyResult<Arc<Self>> {
        let runtime = runtime(py)?;
        let _entered = runtime.enter();
        let connector = Connector::new(config);
        Ok(Arc::new(Self {
            connector,
            runtime,
            spin: AdaptiveSpin::default(),
            closed: AtomicBool::new(false),
            closing: OnceCell::new(),
            queues: Mutex::default(),
        }))
    }

    /// Refuses if it was closed.
    pub(crate) fn ensure_open(&self) -> PyResult<()> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// Ends the connector's queues, then what it holds at the daemon. A second call waits for the
    /// first.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let close = async || {
            let queues = lock(&self.queues).clone();
            for queue in queues.iter().filter_map(Weak::upgrade) {
                queue.close().await;
            }
            self.connector.close().await;
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

    /// The same for an operation on external memory, which is the caller's again when it returns.
    pub(crate) fn wait_external<T: Send>(
        &self,
        py: Python<'_>,
        owners: &[KeepAlive],
        operation: impl Future<Output = T> + Send,
    ) -> PyResult<T> {
        self.wait(py, async {
            let result = operation.await;
            returned(owners).await;
            result
        })
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
