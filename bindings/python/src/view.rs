//! An object where it is, in shared memory: nothing is copied.
//!
//! The lease and the mapping live as long as the view is open or anything that Python made of it
//! is in use. They are let go without the interpreter, in any order.

use std::sync::{Arc, Mutex};

use kvlease_sys::{MappedBytes, OfProcess};
use pyo3::{
    exceptions::PyBufferError,
    prelude::*,
    types::{PyMemoryView, PyTuple, PyType},
};

use crate::{
    errors::{ClosedError, to_python},
    process::{here, lock},
    reservation::{file_of, places, remaining_s},
};

/// The lease, kept by all readers of the bytes; a forked child must leave it alone.
type Held = Arc<OfProcess<kvlease_client::View>>;

/// An object in shared memory, to be read in place. Its bytes are the object's while `is_live`,
/// and nothing has compared them with its checksum unless `verify` did.
#[pyclass(frozen, extends = MappedBytes, module = "kvlease")]
pub(crate) struct View {
    /// The object's key.
    #[pyo3(get)]
    key: String,
    len: usize,
    /// `None` behind a close.
    held: Mutex<Option<Held>>,
}

#[pymethods]
impl View {
    /// The object's parts in their order, most often one: read-only, released one by one.
    #[getter]
    fn parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let held = self.held()?;
        let extents = here(&held)?.extents();
        let parts = extents.iter().map(|extent| {
            let part = Bound::new(py, mapped(&held, &[*extent])?)?;
            PyMemoryView::from(part.as_any())
        });
        PyTuple::new(py, parts.collect::<PyResult<Vec<_>>>()?)
    }

    /// Offset and length of each part in the arena, in their order.
    #[getter]
    fn extents(&self) -> PyResult<Vec<(u64, u64)>> {
        Ok(places(here(&*self.held()?)?.extents()))
    }

    /// Device and inode of the arena's file.
    #[getter]
    fn arena(&self) -> PyResult<(u64, u64)> {
        Ok(file_of(here(&*self.held()?)?.attachment()))
    }

    /// Seconds until the lease ends, unless it is renewed before; 0 if it has ended.
    #[getter]
    fn remaining_s(&self) -> PyResult<f64> {
        Ok(remaining_s(here(&*self.held()?)?.deadline()))
    }

    /// Whether the bytes are the object's: its lease lives, and so does the segment.
    #[getter]
    fn is_live(&self) -> PyResult<bool> {
        Ok(here(&*self.held()?)?.is_live())
    }

    /// Reads all bytes and compares them with the checksum. False if the daemon sent none.
    ///
    /// Raises:
    ///     UnreadableError: If they differ, which the daemon is told, or the lease has ended.
    fn verify(&self, py: Python<'_>) -> PyResult<bool> {
        let held = self.held()?;
        let view = here(&*held)?;
        py.detach(|| view.verify()).map_err(|error| to_python(&error))?;
        Ok(view.checksum().is_some())
    }

    /// Gives the lease and the memory up, as soon as no buffer is in use any more.
    ///
    /// All but `key`, `len()` and `close()` is an error afterwards.
    fn close(slf: &Bound<'_, Self>) {
        drop(lock(&slf.get().held).take());
        slf.as_super().get().close();
    }

    fn __len__(&self) -> usize {
        self.len
    }

    fn __repr__(&self) -> String {
        format!("View(key={:?}, len={})", self.key, self.len)
    }

    fn __enter__<'a, 'py>(slf: &'a Bound<'py, Self>) -> PyResult<&'a Bound<'py, Self>> {
        slf.get().held()?;
        Ok(slf)
    }

    fn __exit__(
        slf: &Bound<'_, Self>,
        _kind: Option<&Bound<'_, PyType>>,
        _error: Option<&Bound<'_, PyAny>>,
        _trace: Option<&Bound<'_, PyAny>>,
    ) {
        Self::close(slf);
    }
}

impl View {
    /// Takes over what the client found.
    pub(crate) fn new(py: Python<'_>, view: kvlease_client::View) -> PyResult<Bound<'_, Self>> {
        let key = view.key().as_str().to_owned();
        // Not longer than the memory that holds it.
        let len = view.len().bytes() as usize;
        let held = Arc::new(OfProcess::new(view));
        let bytes = mapped(&held, here(&*held)?.extents())?;
        let view = Self { key, len, held: Mutex::new(Some(held)) };
        Bound::new(py, PyClassInitializer::from(bytes).add_subclass(view))
    }

    fn held(&self) -> PyResult<Held> {
        let held = lock(&self.held).clone();
        held.ok_or_else(|| {
            ClosedError::new_err(format!(
                "the view is closed: view the object again, key=`{}`",
                self.key
            ))
        })
    }
}

/// Parts of the object as Python takes them.
fn mapped(held: &Held, extents: &[kvlease_client::Extent]) -> PyResult<MappedBytes> {
    let parts = here(held)?.attachment().in_place(extents);
    let parts = parts.map_err(|error| PyBufferError::new_err(error.to_string()))?;
    Ok(MappedBytes::new(parts, Arc::clone(held) as _))
}
