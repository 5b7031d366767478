//! Lower layer of the test code: draws, a file system, a seccomp filter, interleavings,
//! ports, work within time limits, a recorded workload, medians.
//!
//! It uses no crate of the workspace, so that the tests of every crate can use it. Daemons, HTTP,
//! payloads and the oracle are in `kvlease-harness`, which knows the protocol. Errors here are the
//! failure of a test: a panic.

#![forbid(unsafe_code)]

mod draws;
mod figures;
mod in_time;
pub mod model;
mod ports;
mod seccomp;
mod tmpfs;
pub mod trace;

pub use draws::{Draws, STEP, bytes, mix, rounds, test_seed};
pub use figures::{median, processors};
pub use in_time::in_time;
pub use ports::free_port;
pub use seccomp::without_io_uring;
pub use tmpfs::in_tmpfs_of;
