//! Outcome of an operation, kept without the interpreter until Python takes it.

use kvlease_client::{Error, OpenObject, ReservedSpace, View};
use pyo3::{IntoPyObjectExt, prelude::*};

use crate::{
    errors::{ClosedError, to_python},
    object,
    reservation::Reservation,
    results::list_of,
    view,
};

/// The result of one operation.
pub(crate) enum Outcome {
    /// Of an open: each object that was found.
    Objects(Vec<Result<Option<OpenObject>, Error>>),
    /// Of a view: each object that was found, where it is.
    Views(Vec<Result<Option<View>, Error>>),
    /// Of a reservation: space for each object that there was none of.
    Reservations(Vec<Result<Option<ReservedSpace>, Error>>),
    /// Of most operations on keys: yes or no for each.
    Flags(Vec<Result<bool, Error>>),
    /// Of a lookup.
    Count(Result<usize, Error>),
    /// Of a listing.
    Names(Result<Vec<String>, Error>),
    /// Of what has no result but its end.
    Done(Result<(), Error>),
    /// The operation was given up when the queue was closed.
    Abandoned,
}

impl Outcome {
    /// The value that Python gets. An error is a value as well.
    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Objects(objects) => {
                let found = list_of(py, objects, |object| {
                    object.map(object::OpenObject::new).into_py_any(py)
                })?;
                Ok(found.into_any())
            }
            Self::Views(views) => {
                let found = list_of(py, views, |found| {
                    found.map(|found| view::View::new(py, found)).transpose()?.into_py_any(py)
                })?;
                Ok(found.into_any())
            }
            Self::Reservations(spaces) => {
                let reserved = |space: Option<_>| space.map(Reservation::new).into_py_any(py);
                Ok(list_of(py, spaces, reserved)?.into_any())
            }
            Self::Flags(flags) => Ok(list_of(py, flags, |flag| flag.into_py_any(py))?.into_any()),
            Self::Count(count) => one(py, count),
            Self::Names(names) => one(py, names),
            Self::Done(done) => one(py, done.map(|()| true)),
            Self::Abandoned => {
                let error = ClosedError::new_err("the operation was given up: the queue is closed");
                Ok(error.into_value(py).into_any())
            }
        }
    }
}

fn one<'py, T: IntoPyObjectExt<'py>>(
    py: Python<'py>,
    result: Result<T, Error>,
) -> PyResult<Py<PyAny>> {
    match result {
        Ok(value) => value.into_py_any(py),
        Err(error) => Ok(to_python(&error).into_value(py).into_any()),
    }
}
