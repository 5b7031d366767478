//! Memory that an object is read into: a new `bytes` object, unless the object is short and its length is
//! not known beforehand.

use kvlease_client::{Connector, ExternalBuffer, Key};
use kvlease_sys::{ExternalVec, NewBytes};
use pyo3::{prelude::*, types::PyBytes};

/// ReadMemory with an object in it, which no buffer uses any more.
pub(crate) enum ReadMemory {
    /// Handed out as it is.
    New(NewBytes),
    /// Copied once more.
    Vec(ExternalVec),
}

/// The shortest object that the thread which waits attaches to the interpreter for, once its length is
/// known: another thread may have the interpreter meanwhile. A shorter one is copied once more.
const ATTACH_LEN_MIN: usize = 64 << 10;

/// A new `bytes` object for an object that the published index names, with its buffer. Of all others the
/// length is known only when no thread is attached to the interpreter.
pub(crate) struct Prepared(Option<(ExternalBuffer, NewBytes)>);

impl Prepared {
    /// One for the object of this key.
    ///
    /// # Errors
    ///
    /// `MemoryError`.
    pub(crate) fn new(py: Python<'_>, connector: &Connector, key: &Key) -> PyResult<Self> {
        let new = |len| ExternalBuffer::of_new_bytes(py, len);
        // Not longer than the memory that holds it.
        let len = connector.indexed_len(key).map(|len| len.bytes() as usize);
        Ok(Self(len.map(new).transpose()?))
    }

    /// ReadMemory for an object of this length, which may be another one by now.
    pub(crate) fn of_len(self, len: usize) -> (ExternalBuffer, ReadMemory) {
        match self.0 {
            Some((buffer, bytes)) if buffer.len() == len => (buffer, ReadMemory::New(bytes)),
            _ => attached(len).unwrap_or_else(|| {
                let (buffer, vec) = ExternalBuffer::of_vec(vec![0; len]);
                (buffer, ReadMemory::Vec(vec))
            }),
        }
    }
}

/// A new `bytes` object for a long object. It is made where the call is polled: on the thread that waits
/// for it, which has the interpreter released.
fn attached(len: usize) -> Option<(ExternalBuffer, ReadMemory)> {
    if len < ATTACH_LEN_MIN {
        return None;
    }
    let new = Python::try_attach(|py| ExternalBuffer::of_new_bytes(py, len));
    // Where the interpreter is ending, or has no memory, the other way answers for it.
    let (buffer, bytes) = new?.ok()?;
    Some((buffer, ReadMemory::New(bytes)))
}

impl ReadMemory {
    /// The object.
    pub(crate) fn into_bytes(self, py: Python<'_>) -> Bound<'_, PyBytes> {
        match self {
            Self::New(bytes) => bytes.take(py),
            Self::Vec(vec) => vec.take_back().map(|bytes| PyBytes::new(py, &bytes)),
        }
        .expect("a read that is over has given its buffer up")
    }
}
