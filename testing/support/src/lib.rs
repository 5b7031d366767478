//! What tests and benchmarks of several crates need. Whatever goes wrong here is the failure of a
//! test: a panic.

#![forbid(unsafe_code)]

mod draws;
mod figures;
pub mod model;
mod tmpfs;

pub use draws::{Draws, bytes, rounds};
pub use figures::median;
pub use tmpfs::in_tmpfs_of;
