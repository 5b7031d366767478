//! Extents of a mapping that Python reads in place, by the buffer protocol.
//!
//! A `memoryview` or an array that Python makes of a buffer may outlive the object that it came
//! from. So the mapping, and everything else that keeps the bytes in place, is dropped with the last
//! buffer, however early the object was closed. Buffers are read-only, and other processes may write
//! to their bytes at any time, as with Python's own `mmap`.

use std::{
    ffi::c_int,
    process,
    ptr::{self, NonNull},
    sync::{Mutex, MutexGuard, PoisonError},
};

use pyo3::{PyResult, exceptions::PyBufferError, ffi, prelude::*};

use crate::{KeepAlive, MappedExtent};

/// Extents of a mapping, as an object with the buffer protocol. Classes may extend it.
#[pyclass(frozen, subclass, module = "kvlease")]
pub struct MappedBytes {
    state: Mutex<State>,
    pid: u32,
}

struct State {
    bytes: Option<Bytes>,
    is_closed: bool,
    /// Number of buffers that were not released yet.
    buffers: usize,
}

/// The bytes, and the value that keeps them unchanged.
struct Bytes {
    extents: Vec<MappedExtent>,
    _keep_alive: KeepAlive,
}

impl MappedBytes {
    /// The bytes of these extents. `keep_alive` is dropped when nothing can read them any more.
    pub fn new(extents: Vec<MappedExtent>, keep_alive: KeepAlive) -> Self {
        let bytes = Some(Bytes { extents, _keep_alive: keep_alive });
        let state = Mutex::new(State { bytes, is_closed: false, buffers: 0 });
        Self { state, pid: process::id() }
    }

    /// Refuses further buffers, and drops the bytes with the last one that exists.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let unused = state.take_unused();
        drop(state);
        drop(unused);
    }

    /// Counts a buffer and returns its address and length.
    fn export(&self) -> PyResult<(*const u8, usize)> {
        if self.pid != process::id() {
            return Err(PyBufferError::new_err(
                "the bytes were leased before the process forked: find them again in the child",
            ));
        }
        let mut state = self.lock();
        let bytes = state.bytes.as_ref().filter(|_| !state.is_closed).ok_or_else(|| {
            PyBufferError::new_err("the bytes were released by a close: find them again")
        })?;
        let (start, len) = match bytes.extents.as_slice() {
            [] => (NonNull::<u8>::dangling().as_ptr().cast_const(), 0),
            [extent] => extent.raw_parts(),
            several => {
                return Err(PyBufferError::new_err(format!(
                    "the bytes are not in one piece: use each of the `parts`, parts=`{}`",
                    several.len()
                )));
            }
        };
        state.buffers += 1;
        Ok((start, len))
    }

    /// Uncounts a buffer.
    fn release(&self) {
        let mut state = self.lock();
        state.buffers -= 1;
        let unused = state.take_unused();
        drop(state);
        drop(unused);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way, nor call Python.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The bytes, if nothing can read them any more. To be dropped without the lock: the keep-alive
    /// is foreign code.
    fn take_unused(&mut self) -> Option<Bytes> {
        if self.is_closed && self.buffers == 0 { self.bytes.take() } else { None }
    }
}

#[pymethods]
impl MappedBytes {
    /// # Safety
    ///
    /// `view` is one that the interpreter passes to be filled.
    unsafe fn __getbuffer__(
        slf: &Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        // SAFETY: `view` is the interpreter's, which reads a failure from this field as well.
        unsafe { (*view).obj = ptr::null_mut() };
        let (start, len) = slf.get().export()?;
        let (object, readonly) = (slf.as_ptr(), 1);
        // SAFETY: `view` is the interpreter's. The `len` bytes at `start` stay mapped until
        // `release`: the buffer, which holds a reference to this object, was counted. It
        // is not written through: a request for a writable buffer is refused.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                object,
                start.cast_mut().cast(),
                len as ffi::Py_ssize_t,
                readonly,
                flags,
            )
        };
        if filled == 0 {
            return Ok(());
        }
        slf.get().release();
        Err(PyErr::fetch(slf.py()))
    }

    /// # Safety
    ///
    /// `_view` was filled by `__getbuffer__` and is released once.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.release();
    }
}
