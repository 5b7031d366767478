//! The connector without `async`, for programs that have threads instead.
//!
//! The network's work is done by a small runtime of the connector's own, or by one that the program
//! has already. The calls block the thread that makes them; inside of a runtime, whose threads must
//! not be blocked, they are errors.

use std::{pin::pin, sync::Arc, time::Duration};

use kvlease_api::ListedObject;
use kvlease_http::{Error, PutBody, PutOutcome};
use kvlease_io::AdaptiveSpin;
use kvlease_types::Key;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{ConnectorConfig, ConnectorStats, Destination, OpenObject, PostReport, View};

/// How many threads an own runtime has: they move requests, not objects.
const RUNTIME_THREADS: usize = 1;

/// The longest object whose put is waited for in place: with a longer one the copy takes most of the time,
/// and the time for that would be over before the answer comes.
const SPIN_LEN_MAX: u64 = 256 << 10;

/// The answers of a batch, one for each key in the order of the keys, unless none was asked for.
pub type Answers<T> = Result<Vec<Result<T, Error>>, Error>;

/// The asynchronous connector's calls, each of which returns when it is done. Clones share
/// everything.
#[derive(Clone, Debug)]
pub struct Connector {
    connector: crate::Connector,
    handle: Handle,
    spin: Arc<AdaptiveSpin>,
    /// The own runtime, which ends with the last clone.
    _runtime: Option<Arc<OwnRuntime>>,
}

/// A runtime that may be dropped anywhere.
#[derive(Debug)]
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Connector {
    /// A connector with a runtime of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Runtime`] if its thread cannot be had.
    pub fn new(config: ConnectorConfig) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("kvlease-net")
            .enable_all()
            .build()
            .map_err(|source| Error::Runtime { source })?;
        let handle = runtime.handle().clone();
        let mut connector = Self::with_runtime(config, handle);
        connector._runtime = Some(Arc::new(OwnRuntime(Some(runtime))));
        Ok(connector)
    }

    /// A connector on a runtime that lives longer than it.
    pub fn with_runtime(config: ConnectorConfig, handle: Handle) -> Self {
        let connector = crate::Connector::new(config);
        Self { connector, handle, spin: Arc::default(), _runtime: None }
    }

    /// The asynchronous connector behind it.
    pub fn as_async(&self) -> &crate::Connector {
        &self.connector
    }

    /// The counters of the connector.
    pub fn stats(&self) -> ConnectorStats {
        self.connector.stats()
    }

    /// Stores an object, unless the key has one.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`]; those of the asynchronous call.
    pub fn put(&self, key: &Key, body: impl Into<PutBody>) -> Result<PutOutcome, Error> {
        let body = body.into();
        self.wait_body(body.len(), self.connector.put(key, body))?
    }

    /// Handle for posted puts.
    pub fn posts(&self) -> Posts {
        Posts { posts: self.connector.posts(), connector: self.clone() }
    }

    /// Stores many objects.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`] for all; else each answer is that of the asynchronous call.
    pub fn batched_put(&self, objects: Vec<(Key, PutBody)>) -> Answers<PutOutcome> {
        self.wait(self.connector.batched_put(objects))
    }

    /// Reads an object. `None` on a miss.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`]; those of the asynchronous call.
    pub fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        self.wait_spinning(self.connector.get(key))?
    }

    /// Reads many objects.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`] for all; else each answer is that of the asynchronous call.
    pub fn batched_get(&self, keys: &[Key]) -> Answers<Option<Vec<u8>>> {
        self.wait(self.connector.batched_get(keys))
    }

    /// Reads an object into a buffer, or several, of exactly its length. `false` on a miss.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`]; those of the asynchronous call.
    pub fn get_into(&self, key: &Key, into: impl Into<Destination>) -> Result<bool, Error> {
        self.wait(self.connector.get_into(key, into))?
    }

    /// Reads many objects, each into its buffer, or its several.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`] for all; else each answer is that of the asynchronous call.
    pub fn batched_get_into(&self, objects: Vec<(Key, impl Into<Destination>)>) -> Answers<bool> {
        self.wait(self.connector.batched_get_into(objects))
    }

    /// Finds an object and reads its first `head_len` bytes. `None` on a miss.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`]; those of the asynchronous call.
    pub fn open(&self, key: &Key, head_len: usize) -> Result<Option<OpenObject>, Error> {
        self.wait_spinning(self.connector.open(key, head_len))?
    }

    /// Finds many objects.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`] for all; else each answer is that of the asynchronous call.
    pub fn batched_open(&self, keys: &[Key], head_len: usize) -> Answers<Option<OpenObject>> {
        self.wait(self.connector.batched_open(keys, head_len))
    }

    /// Reads what follows the head of an open object.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`]; those of [`OpenObject::read_rest`].
    pub fn read_rest(&self, object: OpenObject, into: impl Into<Destination>) -> Result<(), Error> {
        self.wait(object.read_rest(into))?
    }

    /// Extends a view's lease.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`]; those of [`View::renew`].
    pub fn renew(&self, view: &mut View, ttl: Duration) -> Result<(), Error> {
        self.wait(view.renew(ttl))?
    }

    /// Whether an object exists.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`]; those of the asynchronous call.
    pub fn exists(&self, key: &Key) -> Result<bool, Error> {
        self.wait_spinning(self.connector.exists(key))?
    }

    /// Which of many objects exist.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`] for all; else each answer is that of the asynchronous call.
    pub fn batched_exists(&self, keys: &[Key]) -> Answers<bool> {
        self.wait(self.connector.batched_exists(keys))
    }

    /// Which of many objects exist; those that do are kept for the read that follows.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`] for all; else each answer is that of the asynchronous call.
    pub fn prefetch_leases(&self, keys: &[Key]) -> Answers<bool> {
        self.wait(self.connector.prefetch_leases(keys))
    }

    /// How many objects exist before the first one that does not.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`]; those of the asynchronous call.
    pub fn lookup_prefix(&self, keys: &[Key]) -> Result<usize, Error> {
        self.wait(self.connector.lookup_prefix(keys))?
    }

    /// Removes many objects; `false` for what was not there.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`] for all; else each answer is that of the asynchronous call.
    pub fn batched_remove(&self, keys: &[Key]) -> Answers<bool> {
        self.wait(self.connector.batched_remove(keys))
    }

    /// The objects of the bucket whose keys start with `prefix`.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`]; those of the asynchronous call.
    pub fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, Error> {
        self.wait(self.connector.list(prefix))?
    }

    /// Whether the daemon answers at all.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`]; those of the asynchronous call.
    pub fn ping(&self) -> Result<(), Error> {
        self.wait_spinning(self.connector.ping())?
    }

    /// Ends what the connector holds at the daemon, and waits for it, at most as long as a call may
    /// take. Later calls fail.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`].
    pub fn close(&self) -> Result<(), Error> {
        self.wait(self.connector.close())
    }

    fn wait<T>(&self, call: impl Future<Output = T>) -> Result<T, Error> {
        self.ensure_own_thread()?;
        Ok(self.handle.block_on(call))
    }

    /// The same for one small call, whose answer is waited for in place first.
    fn wait_spinning<T>(&self, call: impl Future<Output = T>) -> Result<T, Error> {
        self.ensure_own_thread()?;
        let mut call = pin!(call);
        let entered = self.handle.enter();
        let answer = self.spin.poll(call.as_mut());
        drop(entered);
        Ok(answer.unwrap_or_else(|| self.handle.block_on(call)))
    }

    /// The same for the put of a body of this length.
    fn wait_body<T>(&self, len: Option<u64>, call: impl Future<Output = T>) -> Result<T, Error> {
        if len.is_some_and(|len| len <= SPIN_LEN_MAX) {
            self.wait_spinning(call)
        } else {
            self.wait(call)
        }
    }

    fn ensure_own_thread(&self) -> Result<(), Error> {
        if Handle::try_current().is_ok() {
            return Err(Error::InsideRuntime);
        }
        // A forked child has none of the runtime's threads: it would wait for ever.
        self.connector.ensure_own_process()
    }
}

/// The calls of a handle for posted puts, each of which returns when it is done.
#[derive(Debug)]
pub struct Posts {
    posts: crate::Posts,
    connector: Connector,
}

impl Posts {
    /// Stores an object, and returns when its bytes are copied.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`]; those of the asynchronous call.
    pub fn post(&self, key: &Key, body: impl Into<PutBody>) -> Result<(), Error> {
        let body = body.into();
        self.connector.wait_body(body.len(), self.posts.post(key, body))?
    }

    /// Waits for the outcomes of all puts that were posted before, and tells of all since the last flush.
    ///
    /// # Errors
    ///
    /// [`Error::InsideRuntime`].
    pub fn flush(&self) -> Result<PostReport, Error> {
        self.connector.wait_spinning(self.posts.flush())
    }
}
