//! Results of calls, as Python sees them.

use kvlease_client::{Error, PutOutcome};
use pyo3::{prelude::*, types::PyList};

use crate::errors::to_python;

/// Whether a put stored anything.
pub(crate) fn is_stored(outcome: PutOutcome) -> bool {
    outcome == PutOutcome::Stored
}

/// A list of what came of each key: a value, or the exception that says why there is none.
pub(crate) fn list_of<T>(
    py: Python<'_>,
    results: Vec<Result<T, Error>>,
    value: impl Fn(T) -> PyResult<Py<PyAny>>,
) -> PyResult<Py<PyList>> {
    let list = PyList::empty(py);
    for result in results {
        match result {
            Ok(found) => list.append(value(found)?)?,
            Err(error) => list.append(to_python(&error).into_value(py))?,
        }
    }
    Ok(list.unbind())
}
