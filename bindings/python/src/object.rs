//! Open objects: found, and their rest not read yet.

use std::sync::Mutex;

use kvlease_sys::OfProcess;
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    errors::KvleaseError,
    process::{into_here, lock},
};

/// An object that was found: its length and its first bytes. Its rest can be read once, and until
/// then, or until the value is gone, a lease keeps it in place.
#[pyclass(frozen, module = "kvlease")]
pub(crate) struct OpenObject {
    /// Its key.
    #[pyo3(get)]
    pub(crate) key: String,
    /// Whether its rest is in shared memory, rather than to come over HTTP.
    #[pyo3(get)]
    is_shared: bool,
    len: usize,
    head: Box<[u8]>,
    unread: Mutex<Option<OfProcess<kvlease_client::OpenObject>>>,
}

#[pymethods]
impl OpenObject {
    /// Its first bytes, as many as were asked for or as there are.
    #[getter]
    fn head<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.head)
    }

    fn __len__(&self) -> usize {
        self.len
    }

    fn __repr__(&self) -> String {
        format!("OpenObject(key={:?}, len={})", self.key, self.len)
    }
}

impl OpenObject {
    /// Takes over what the client found.
    pub(crate) fn new(object: kvlease_client::OpenObject) -> Self {
        Self {
            key: object.key().as_str().to_owned(),
            is_shared: object.is_shared(),
            // Not longer than the memory that holds it.
            len: object.len().bytes() as usize,
            head: object.head().into(),
            unread: Mutex::new(Some(OfProcess::new(object))),
        }
    }

    /// The object, to read its rest.
    ///
    /// # Errors
    ///
    /// [`KvleaseError`] if it was read before.
    pub(crate) fn take(&self) -> PyResult<kvlease_client::OpenObject> {
        let unread = lock(&self.unread).take();
        let unread = unread.ok_or_else(|| {
            KvleaseError::new_err(format!(
                "the object was read before: open it again, key=`{}`",
                self.key
            ))
        })?;
        into_here(unread)
    }
}
