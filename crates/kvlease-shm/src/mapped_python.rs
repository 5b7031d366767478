//! Parts of a segment that Python reads where they are, by the buffer protocol.
//!
//! What Python makes of a buffer, a `memoryview` or an array, may live longer than anybody expects.
//! So the mapping, and whatever else keeps the bytes in place, is let go when the last buffer of it
//! is, however early it was closed. Buffers are read-only, and other processes may write to their
//! bytes at any time, as with Python's own `mmap`.

use std::{
    ffi::c_int,
    process,
    ptr::{self, NonNull},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kvlease_types::Extent;
use pyo3::{PyResult, exceptions::PyBufferError, ffi, prelude::*};

use crate::{Attachment, OutOfBounds, external::KeepAlive};

/// Bytes in a segment, as an object with the buffer protocol. Classes may extend it.
#[pyclass(frozen, subclass, module = "kvlease")]
pub struct MappedBytes {
    extents: Vec<Extent>,
    state: Mutex<State>,
    pid: u32,
}

struct State {
    kept: Option<Kept>,
    is_closed: bool,
    /// Buffers that were not released yet.
    buffers: usize,
}

/// What keeps the bytes in place.
struct Kept {
    attachment: Arc<Attachment>,
    _owner: KeepAlive,
}

impl MappedBytes {
    /// The bytes of these extents. `keep_alive` is dropped when nothing can read them any more.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if an extent is outside of the segment.
    pub fn new(
        attachment: Arc<Attachment>,
        extents: Vec<Extent>,
        keep_alive: KeepAlive,
    ) -> Result<Self, OutOfBounds> {
        attachment.measure(&extents)?;
        let kept = Some(Kept { attachment, _owner: keep_alive });
        let state = Mutex::new(State { kept, is_closed: false, buffers: 0 });
        Ok(Self { extents, state, pid: process::id() })
    }

    /// Gives no further buffers, and lets everything go with the last one there is.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let unused = state.take_unused();
        drop(state);
        drop(unused);
    }

    /// Counts a buffer and tells where its bytes are.
    fn lend(&self) -> PyResult<(*const u8, usize)> {
        if self.pid != process::id() {
            return Err(PyBufferError::new_err(
                "the bytes were leased before the process forked: find them again in the child",
            ));
        }
        let mut state = self.lock();
        let kept = state.kept.as_ref().filter(|_| !state.is_closed).ok_or_else(|| {
            PyBufferError::new_err("the bytes were let go by a close: find them again")
        })?;
        let (start, len) = match self.extents.as_slice() {
            [] => (NonNull::<u8>::dangling().as_ptr().cast_const(), 0),
            // Within the mapping, so within the address space.
            [extent] => (
                kept.attachment.locate(*extent).expect("every extent was checked"),
                extent.len.bytes() as usize,
            ),
            several => {
                return Err(PyBufferError::new_err(format!(
                    "the bytes are not in one piece: take each of the `parts`, parts=`{}`",
                    several.len()
                )));
            }
        };
        state.buffers += 1;
        Ok((start, len))
    }

    /// Notes that a buffer is not used any more.
    fn take_back(&self) {
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
    fn take_unused(&mut self) -> Option<Kept> {
        if self.is_closed && self.buffers == 0 { self.kept.take() } else { None }
    }
}

#[pymethods]
impl MappedBytes {
    /// # Safety
    ///
    /// `view` is one that the interpreter wants to have filled.
    unsafe fn __getbuffer__(
        slf: &Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        // SAFETY: `view` is the interpreter's, which reads a failure from this field as well.
        unsafe { (*view).obj = ptr::null_mut() };
        let (start, len) = slf.get().lend()?;
        let (object, readonly) = (slf.as_ptr(), 1);
        // SAFETY: `view` is the interpreter's. The `len` bytes at `start` stay mapped until
        // `take_back`: the buffer, which holds a reference to this object, was counted. Nobody
        // writes through it: a request for a writable buffer is refused.
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
        slf.get().take_back();
        Err(PyErr::fetch(slf.py()))
    }

    /// # Safety
    ///
    /// `_view` was filled by `__getbuffer__` and is released once.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.take_back();
    }
}
