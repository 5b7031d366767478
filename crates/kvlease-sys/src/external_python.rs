//! Memory of Python objects, by the buffer protocol. The type of their elements does not matter.
//!
//! The protocol keeps the memory in place until the buffer is released, which needs the
//! interpreter. A value that is dropped while the interpreter is ending leaks its buffer instead.

use std::{mem::ManuallyDrop, ptr, sync::Arc};

use pyo3::{
    PyResult, Python, buffer::PyUntypedBuffer, exceptions::PyBufferError, ffi, prelude::*,
    types::PyBytes,
};

use crate::{ExternalBuffer, ExternalBytes, KeepAlive};

/// Value that is dropped on a thread that is attached to the interpreter, as a buffer has to be.
struct Attached<T>(ManuallyDrop<T>);

impl<T> Attached<T> {
    const fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value))
    }

    fn into_inner(self) -> T {
        let mut kept = ManuallyDrop::new(self);
        // SAFETY: the value is taken once: here, without `drop`.
        unsafe { ManuallyDrop::take(&mut kept.0) }
    }
}

impl<T> Drop for Attached<T> {
    fn drop(&mut self) {
        // SAFETY: the value is taken once, here, and not used afterwards; `into_inner` never comes here.
        let mut value = Some(unsafe { ManuallyDrop::take(&mut self.0) });
        if Python::try_attach(|_| drop(value.take())).is_none() {
            std::mem::forget(value);
        }
    }
}

impl ExternalBytes {
    /// The bytes of a Python object. The caller of the Python function must leave them alone until
    /// the value is dropped, which its documentation has to say.
    ///
    /// # Errors
    ///
    /// `BufferError` and `TypeError` for an object without a contiguous buffer.
    pub fn of_python(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (address, len, keep_alive) = export(object, false)?;
        // SAFETY: the buffer protocol keeps the memory in place while the keep-alive holds the buffer.
        Ok(unsafe { Self::new(address, len, keep_alive) })
    }
}

impl ExternalBuffer {
    /// The writable bytes of a Python object. The caller of the Python function must leave them
    /// alone until the value is dropped, which its documentation has to say.
    ///
    /// # Errors
    ///
    /// `BufferError` and `TypeError` for an object without a contiguous, writable buffer.
    pub fn of_python(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (address, len, keep_alive) = export(object, true)?;
        // SAFETY: the buffer protocol keeps the memory in place while the keep-alive holds the buffer.
        Ok(unsafe { Self::new(address, len, keep_alive) })
    }

    /// The bytes of a new Python `bytes` object, with the object, which nothing else has. They have any
    /// content until they are written to.
    ///
    /// # Errors
    ///
    /// `MemoryError`.
    pub fn of_new_bytes(py: Python<'_>, len: usize) -> PyResult<(Self, NewBytes)> {
        let signed = ffi::Py_ssize_t::try_from(len)?;
        // SAFETY: the thread is attached to the interpreter. Without a pointer the object is made with
        // memory for its bytes, which are the caller's to write until others get to know the object.
        let object = unsafe {
            let object = ffi::PyBytes_FromStringAndSize(ptr::null(), signed);
            Bound::from_owned_ptr_or_err(py, object)?
        };
        let bytes = object.cast_into::<PyBytes>()?;
        // SAFETY: it is a `bytes` object.
        let address = unsafe { ffi::PyBytes_AsString(bytes.as_ptr()) }.cast();
        let unread = Arc::new(Attached::new(bytes.unbind()));
        // SAFETY: the keep-alive holds the object, which never moves, and only the buffer and its parts,
        // which share no byte, reach its memory until the last keep-alive is gone. Memory that comes
        // from foreign code has some content, whatever it is.
        let buffer = unsafe { Self::new(address, len, Arc::clone(&unread) as KeepAlive) };
        Ok((buffer, NewBytes(unread)))
    }
}

/// Python `bytes` object whose memory an [`ExternalBuffer`] uses.
pub struct NewBytes(Arc<Attached<Py<PyBytes>>>);

impl NewBytes {
    /// The object with its new content; `None` while the buffer or a part of it lives.
    pub fn take(self, py: Python<'_>) -> Option<Bound<'_, PyBytes>> {
        Some(Arc::into_inner(self.0)?.into_inner().into_bound(py))
    }
}

fn export(object: &Bound<'_, PyAny>, writable: bool) -> PyResult<(*mut u8, usize, KeepAlive)> {
    let buffer = PyUntypedBuffer::get(object)?;
    if !buffer.is_c_contiguous() {
        return Err(PyBufferError::new_err("the buffer is not contiguous: pass one that is"));
    }
    if writable && buffer.readonly() {
        return Err(PyBufferError::new_err("the buffer is read-only: pass a writable one"));
    }
    let (address, len) = (buffer.buf_ptr().cast(), buffer.len_bytes());
    Ok((address, len, Arc::new(Attached::new(buffer))))
}
