//! The blocking face: every call waits for its result, with the interpreter released.

use std::sync::Arc;

use kvlease_client::{Error, ExternalBuffer, ExternalBytes, PostReport, PutBody};
use kvlease_sys::{KeepAlive, OfProcess};
use pyo3::{
    IntoPyObjectExt,
    prelude::*,
    pybacked::PyBackedStr,
    types::{PyBytes, PyDict, PyList, PyType},
};

use crate::{
    arguments,
    errors::to_python,
    exit,
    memory::{Memory, Regions},
    process::here,
    read_memory::Prepared,
    results::{is_stored, list_of},
    settings::ConnectorSettings,
    shared::{Shared, say_failed_posts},
    view::View,
};

/// Stores, finds and reads objects; every call waits for its result.
#[pyclass(frozen, weakref, module = "kvlease")]
pub(crate) struct Connector {
    pub(crate) shared: OfProcess<Arc<Shared>>,
}

#[pymethods]
impl Connector {
    #[new]
    fn new(py: Python<'_>, settings: &ConnectorSettings) -> PyResult<Self> {
        let shared = Shared::open(py, settings.config.clone())?;
        exit::register(py, &shared)?;
        Ok(Self { shared: OfProcess::new(shared) })
    }

    /// Stores an object. False if the key had one, which stays as it is.
    fn put(&self, py: Python<'_>, key: &str, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let shared = self.open()?;
        let data = arguments::bytes(data, key)?;
        let key = arguments::key(key)?;
        let (owners, len) = ([data.keep_alive()], data.len());
        let put = shared.connector.put(&key, PutBody::external(data));
        let stored = shared.wait_external_spinning(py, &owners, len, put)?;
        stored.map(is_stored).map_err(|error| to_python(&error))
    }

    /// Stores an object, and returns when its bytes are copied: `flush_posts` tells the outcome.
    ///
    /// Small objects are posted over the fast lane, a bounded number at a time; all others are
    /// stored as by `put`. The object is visible after the next flush, and most often at once.
    fn post(&self, py: Python<'_>, key: &str, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let shared = self.open()?;
        let data = arguments::bytes(data, key)?;
        let key = arguments::key(key)?;
        let (owners, len) = ([data.keep_alive()], data.len());
        let post = shared.posts.post(&key, PutBody::external(data));
        let posted = shared.wait_external_spinning(py, &owners, len, post)?;
        posted.map_err(|error| to_python(&error))
    }

    /// Waits for what was posted. Key and error of each post that failed since the last flush.
    ///
    /// They come in the order of the posts. `close` flushes as well, and logs what failed.
    fn flush_posts(&self, py: Python<'_>) -> PyResult<Vec<(String, Py<PyAny>)>> {
        let shared = here(&self.shared)?;
        let PostReport { errors, more_errors, .. } =
            shared.wait_spinning(py, shared.posts.flush())?;
        if more_errors > 0 {
            say_failed_posts(py, more_errors, errors.last());
        }
        let failed = errors.into_iter();
        let failed =
            failed.map(|(key, error)| Ok((key.to_string(), to_python(&error).into_py_any(py)?)));
        failed.collect()
    }

    /// Stores objects.
    fn batched_put(
        &self,
        py: Python<'_>,
        keys: Vec<PyBackedStr>,
        data: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyList>> {
        let shared = self.open()?;
        let keys = arguments::keys(&keys)?;
        let data = arguments::payloads(&keys, &data)?;
        let owners: Vec<KeepAlive> = data.iter().map(ExternalBytes::keep_alive).collect();
        let objects = keys.into_iter().zip(data.into_iter().map(PutBody::external)).collect();
        let outcomes = shared.wait_external(py, &owners, shared.connector.batched_put(objects))?;
        list_of(py, outcomes, |stored| is_stored(stored).into_py_any(py))
    }

    /// Reads an object. None on a miss.
    fn get<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let shared = self.open()?;
        let key = arguments::key(key)?;
        let prepared = Prepared::new(py, &shared.connector, &key)?;
        let read = shared.connector.get_with(&key, |len| prepared.of_len(len));
        let found = shared.wait_spinning(py, read)?.map_err(|error| to_python(&error))?;
        Ok(found.map(|memory| memory.into_bytes(py)))
    }

    /// Reads objects.
    fn batched_get(&self, py: Python<'_>, keys: Vec<PyBackedStr>) -> PyResult<Py<PyList>> {
        let shared = self.open()?;
        let keys = arguments::keys(&keys)?;
        let prepare = |key| Prepared::new(py, &shared.connector, key);
        let prepared: Vec<Prepared> = keys.iter().map(prepare).collect::<PyResult<_>>()?;
        let memories = prepared.into_iter().map(|prepared| move |len| prepared.of_len(len));
        let found = shared.wait(py, shared.connector.batched_get_with(&keys, memories))?;
        list_of(py, found, |found| found.map(|memory| memory.into_bytes(py)).into_py_any(py))
    }

    /// Reads an object into a buffer of its length. False on a miss.
    ///
    /// After a miss or an error the buffer's content is unspecified.
    fn get_into(&self, py: Python<'_>, key: &str, buffer: &Bound<'_, PyAny>) -> PyResult<bool> {
        let shared = self.open()?;
        let into = arguments::buffer(buffer, key)?;
        let key = arguments::key(key)?;
        let owners = [into.keep_alive()];
        let found = shared.wait_external(py, &owners, shared.connector.get_into(&key, into))?;
        found.map_err(|error| to_python(&error))
    }

    /// Reads objects, each into its buffer. Buffers that share memory are a `ValueError`.
    fn batched_get_into(
        &self,
        py: Python<'_>,
        keys: Vec<PyBackedStr>,
        buffers: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyList>> {
        let shared = self.open()?;
        let keys = arguments::keys(&keys)?;
        let into = arguments::buffers(&keys, &buffers)?;
        let owners: Vec<KeepAlive> = into.iter().map(ExternalBuffer::keep_alive).collect();
        let objects = keys.into_iter().zip(into).collect();
        let found =
            shared.wait_external(py, &owners, shared.connector.batched_get_into(objects))?;
        list_of(py, found, |found| found.into_py_any(py))
    }

    /// Stores objects, each gathered from as many regions of the memory, one after the other.
    ///
    /// A region is an address and a length. Those of the first key come first.
    fn batched_gather(
        &self,
        py: Python<'_>,
        keys: Vec<PyBackedStr>,
        memory: &Bound<'_, Memory>,
        addresses: Vec<usize>,
        lengths: Vec<usize>,
    ) -> PyResult<Py<PyList>> {
        let shared = self.open()?;
        let keys = arguments::keys(&keys)?;
        let regions = Regions::new(keys.len(), &addresses, &lengths)?;
        let (objects, owner) = regions.gather(keys, memory.get())?;
        let put = shared.connector.batched_put(objects);
        let outcomes = shared.wait_external(py, owner.as_slice(), put)?;
        list_of(py, outcomes, |stored| is_stored(stored).into_py_any(py))
    }

    /// Reads objects, each scattered into as many regions of the memory, as of `batched_gather`.
    ///
    /// The regions of an object have its length together, and none shares bytes with another one.
    fn batched_scatter(
        &self,
        py: Python<'_>,
        keys: Vec<PyBackedStr>,
        memory: &Bound<'_, Memory>,
        addresses: Vec<usize>,
        lengths: Vec<usize>,
    ) -> PyResult<Py<PyList>> {
        let shared = self.open()?;
        let keys = arguments::keys(&keys)?;
        let regions = Regions::new(keys.len(), &addresses, &lengths)?;
        let (objects, owner) = regions.scatter(keys, memory.get())?;
        let read = shared.connector.batched_get_into(objects);
        let found = shared.wait_external(py, owner.as_slice(), read)?;
        list_of(py, found, |found| found.into_py_any(py))
    }

    /// An object where it is in shared memory, not copied. None on a miss.
    ///
    /// Raises:
    ///     KvleaseError: If there is no shared memory, or it cannot be attached.
    fn view<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, View>>> {
        let shared = self.open()?;
        let key = arguments::key(key)?;
        let found = shared.wait(py, shared.connector.open(&key, 0))?;
        let found = found.map_err(|error| to_python(&error))?;
        let view = found.map(kvlease_client::OpenObject::into_view).transpose();
        let view = view.map_err(|_| to_python(&Error::NoSharedMemory))?;
        view.map(|view| View::new(py, view)).transpose()
    }

    /// Whether there is an object.
    fn exists(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        let shared = self.open()?;
        let key = arguments::key(key)?;
        let found = shared.wait_spinning(py, shared.connector.exists(&key))?;
        found.map_err(|error| to_python(&error))
    }

    /// Whether the daemon's published index names an object.
    ///
    /// It returns at once and makes no call. False says nothing: ask with `exists`.
    fn is_indexed(&self, key: &str) -> PyResult<bool> {
        Ok(self.open()?.connector.is_indexed(&arguments::key(key)?))
    }

    /// Tells the daemon, a moment later, that objects were used, so that it keeps them.
    ///
    /// Those are meant that its published index names; returns how many they are, at once.
    fn touch(&self, keys: Vec<PyBackedStr>) -> PyResult<usize> {
        Ok(self.open()?.connector.touch(&arguments::keys(&keys)?))
    }

    /// Tells which objects there are.
    fn batched_exists(&self, py: Python<'_>, keys: Vec<PyBackedStr>) -> PyResult<Py<PyList>> {
        let shared = self.open()?;
        let keys = arguments::keys(&keys)?;
        let found = shared.wait(py, shared.connector.batched_exists(&keys))?;
        list_of(py, found, |found| found.into_py_any(py))
    }

    /// Counts the objects before the first that is missing.
    fn lookup_prefix(&self, py: Python<'_>, keys: Vec<PyBackedStr>) -> PyResult<usize> {
        let shared = self.open()?;
        // Names of the index need not be copied to be found.
        let names = keys.iter().map(|key| &**key);
        let indexed = py.detach(|| shared.connector.indexed_prefix(names));
        let rest = arguments::keys(&keys[indexed..])?;
        if rest.is_empty() {
            return Ok(indexed);
        }
        let count = shared.wait(py, shared.connector.lookup_prefix(&rest))?;
        count.map(|count| indexed + count).map_err(|error| to_python(&error))
    }

    /// The keys of all objects that start so, where the daemon can tell.
    #[pyo3(signature = (prefix = ""))]
    fn list(&self, py: Python<'_>, prefix: &str) -> PyResult<Vec<String>> {
        let shared = self.open()?;
        let listed = shared.wait(py, shared.connector.list(prefix))?;
        let listed = listed.map_err(|error| to_python(&error))?;
        Ok(listed.into_iter().map(|object| object.key).collect())
    }

    /// Removes an object, where the daemon can. Whether it was there.
    fn remove(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        let shared = self.open()?;
        let key = [arguments::key(key)?];
        let removed = shared.wait(py, shared.connector.batched_remove(&key))?.pop();
        removed.unwrap_or(Ok(false)).map_err(|error| to_python(&error))
    }

    /// Removes objects, where the daemon can.
    fn batched_remove(&self, py: Python<'_>, keys: Vec<PyBackedStr>) -> PyResult<Py<PyList>> {
        let shared = self.open()?;
        let keys = arguments::keys(&keys)?;
        let removed = shared.wait(py, shared.connector.batched_remove(&keys))?;
        list_of(py, removed, |removed| removed.into_py_any(py))
    }

    /// Returns if the daemon answers.
    ///
    /// Raises:
    ///     KvleaseError: If it does not.
    fn ping(&self, py: Python<'_>) -> PyResult<()> {
        let shared = self.open()?;
        let answered = shared.wait_spinning(py, shared.connector.ping())?;
        answered.map_err(|error| to_python(&error))
    }

    /// Counters of what was done so far.
    ///
    /// `leases` were granted; of these the daemon confirmed the end of `leases_released`,
    /// `release_failures` end by their time to live, and `held` are kept for a read.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = here(&self.shared)?.connector.stats();
        let counts = PyDict::new(py);
        for (name, count) in [
            ("hits", stats.hits),
            ("misses", stats.misses),
            ("bytes_read", stats.bytes_read),
            ("bytes_written", stats.bytes_written),
            ("puts_stored", stats.puts_stored),
            ("puts_existed", stats.puts_existed),
            ("puts_failed", stats.puts_failed),
            ("leases", stats.leases),
            ("leases_released", stats.leases_released),
            ("release_failures", stats.release_failures),
            ("leases_ended", stats.leases_ended),
            ("damaged", stats.corrupt),
            ("too_large", stats.too_large),
            ("http_reads", stats.http_reads),
            ("index_hits", stats.index_hits),
            ("held", stats.cached_leases),
        ] {
            counts.set_item(name, count)?;
        }
        Ok(counts)
    }

    /// Waits for what runs, gives up what takes too long, and releases what is held.
    ///
    /// Later calls raise `ClosedError`; a second close does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let shared = here(&self.shared)?;
        shared.wait(py, shared.close())?;
        shared.say_untold(py);
        Ok(())
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: Option<&Bound<'_, PyType>>,
        _error: Option<&Bound<'_, PyAny>>,
        _trace: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.close(py)
    }
}

impl Connector {
    /// Native connector that calls are made on, refused after `close` and in a forked child.
    pub(crate) fn open(&self) -> PyResult<&Arc<Shared>> {
        let shared = here(&self.shared)?;
        shared.ensure_open()?;
        Ok(shared)
    }
}
