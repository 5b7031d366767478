//! Space of the arena that Python has reserved for an object, and what else tells a place in it.

use std::{sync::Mutex, time::Instant};

use kvlease_client::{Attachment, Extent, ReservedSpace};
use kvlease_sys::OfProcess;
use pyo3::prelude::*;

use crate::{
    errors::ClosedError,
    process::{here, into_here, lock},
};

/// Space of the arena for one object, to be written by whom the extents are named to.
#[pyclass(frozen, module = "kvlease")]
pub(crate) struct Reservation {
    /// The object's key.
    #[pyo3(get)]
    key: String,
    /// `None` behind a close or a commit.
    space: Mutex<Option<OfProcess<ReservedSpace>>>,
}

#[pymethods]
impl Reservation {
    /// Offset and length of each part in the arena, in their order.
    #[getter]
    fn extents(&self) -> PyResult<Vec<(u64, u64)>> {
        self.with(|space| places(space.extents()))
    }

    /// Device and inode of the arena's file.
    #[getter]
    fn arena(&self) -> PyResult<(u64, u64)> {
        self.with(|space| file_of(space.attachment()))
    }

    /// Seconds in which it can still be written and committed, 0 if its time is over.
    #[getter]
    fn remaining_s(&self) -> PyResult<f64> {
        self.with(|space| remaining_s(space.deadline()))
    }

    /// Gives the space back. The caller has ended all writes there before.
    fn close(&self) {
        drop(lock(&self.space).take());
    }

    fn __repr__(&self) -> String {
        format!("Reservation(key={:?})", self.key)
    }
}

impl Reservation {
    /// Takes over what the client reserved.
    pub(crate) fn new(space: ReservedSpace) -> Self {
        let key = space.key().as_str().to_owned();
        Self { key, space: Mutex::new(Some(OfProcess::new(space))) }
    }

    /// The space, to be committed.
    ///
    /// # Errors
    ///
    /// [`ClosedError`] if it was closed or committed before.
    pub(crate) fn take(&self) -> PyResult<ReservedSpace> {
        let space = lock(&self.space).take();
        into_here(space.ok_or_else(|| self.gone())?)
    }

    fn with<T>(&self, read: impl FnOnce(&ReservedSpace) -> T) -> PyResult<T> {
        let space = lock(&self.space);
        Ok(read(here(space.as_ref().ok_or_else(|| self.gone())?)?))
    }

    fn gone(&self) -> PyErr {
        ClosedError::new_err(format!(
            "the reservation was closed or committed: reserve again, key=`{}`",
            self.key
        ))
    }
}

/// Extents as Python sees them: offset and length.
pub(crate) fn places(extents: &[Extent]) -> Vec<(u64, u64)> {
    extents.iter().map(|extent| (extent.offset.bytes(), extent.len.bytes())).collect()
}

/// The arena's file as Python sees it: device and inode.
pub(crate) fn file_of(attachment: &Attachment) -> (u64, u64) {
    let identity = attachment.identity();
    (identity.device, identity.inode)
}

/// Seconds until then.
pub(crate) fn remaining_s(deadline: Instant) -> f64 {
    deadline.saturating_duration_since(Instant::now()).as_secs_f64()
}
