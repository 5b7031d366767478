//! Memory of Python objects, by the buffer protocol. The type of their elements does not matter.
//!
//! The protocol keeps the memory in place until the buffer is released, which needs the
//! interpreter. A value that is dropped while the interpreter is ending leaks its buffer instead.

use std::{mem::ManuallyDrop, sync::Arc};

use pyo3::{PyResult, Python, buffer::PyUntypedBuffer, exceptions::PyBufferError, prelude::*};

use crate::{ExternalBuffer, ExternalBytes, KeepAlive};

/// Buffer that is released on a thread that is attached to the interpreter.
struct Exported(ManuallyDrop<PyUntypedBuffer>);

impl Drop for Exported {
    fn drop(&mut self) {
        // SAFETY: the value is taken once, here, and not used afterwards.
        let buffer = unsafe { ManuallyDrop::take(&mut self.0) };
        let mut buffer = Some(buffer);
        if Python::try_attach(|_| drop(buffer.take())).is_none() {
            std::mem::forget(buffer);
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
    Ok((address, len, Arc::new(Exported(ManuallyDrop::new(buffer)))))
}
