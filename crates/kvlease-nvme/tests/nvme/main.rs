//! The tier on a real file.

mod conformance;
mod contents;
mod fixture;
mod mounts;
mod opening;
mod seccomp;
