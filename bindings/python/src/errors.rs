//! Errors as Python sees them: few kinds, each of which a caller would act on differently.

use kvlease_client::{Error, with_causes};
use pyo3::{
    create_exception,
    exceptions::{PyException, PyValueError},
    prelude::*,
};

create_exception!(
    kvlease,
    KvleaseError,
    PyException,
    "Reason of a failed call. The message names the remedy; the subclass tells programs what to do."
);
create_exception!(
    kvlease,
    UnavailableError,
    KvleaseError,
    "The daemon cannot be reached or did not answer in time: try again later."
);
create_exception!(
    kvlease,
    RefusedError,
    KvleaseError,
    "The daemon refused: do what the message says."
);
create_exception!(
    kvlease,
    UnreadableError,
    KvleaseError,
    "The object is there and could not be read whole: treat it as a miss."
);
create_exception!(
    kvlease,
    ClosedError,
    KvleaseError,
    "The connector is closed, or was made before the process forked: make a new one."
);
create_exception!(
    kvlease,
    BusyError,
    KvleaseError,
    "Too many operations are pending, or too much is leased: take or read that first."
);

/// The Python exception for an error of the client.
pub(crate) fn to_python(error: &Error) -> PyErr {
    let message = with_causes(error);
    match error {
        Error::Address(_) | Error::Name(_) | Error::SegmentName(_) => {
            PyValueError::new_err(message)
        }
        Error::Unreachable { .. }
        | Error::Broken { .. }
        | Error::TimedOut { .. }
        | Error::CircuitOpen { .. } => UnavailableError::new_err(message),
        Error::Closed | Error::Forked => ClosedError::new_err(message),
        Error::Refused { .. } | Error::Denied { .. } => RefusedError::new_err(message),
        Error::StillWriting { .. } => BusyError::new_err(message),
        Error::LeaseEnded { .. } | Error::Corrupt { .. } | Error::OutsideSegment { .. } => {
            UnreadableError::new_err(message)
        }
        _ => KvleaseError::new_err(message),
    }
}

/// The error for a call on something that was closed.
pub(crate) fn closed() -> PyErr {
    ClosedError::new_err("the connector is closed: make a new one")
}
