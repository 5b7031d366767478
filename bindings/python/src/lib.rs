//! The native half of the Python package `kvlease`.
//!
//! It has two faces on one connector: `connector` for programs that wait, `queue` for those
//! that run an event loop. Its threads never need the interpreter: external memory is released by
//! the calls of Python.

#![forbid(unsafe_code)]

mod adapter;
mod arguments;
mod connector;
mod errors;
mod exit;
mod external;
mod memory;
mod object;
mod process;
mod queue;
mod read_memory;
mod reservation;
mod results;
mod settings;
mod shared;
mod view;

/// The native half of the Python package `kvlease`.
#[pyo3::pymodule]
mod _kvlease {
    #[pymodule_export]
    use crate::{
        adapter::{get_positive_float, get_positive_int, parse_url},
        connector::Connector,
        errors::{
            BusyError, ClosedError, KvleaseError, RefusedError, UnavailableError, UnreadableError,
        },
        exit::close_all,
        memory::Memory,
        object::OpenObject,
        queue::Queue,
        reservation::Reservation,
        settings::{ConnectorSettings, remake_settings},
        view::View,
    };
    /// The package's version.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
