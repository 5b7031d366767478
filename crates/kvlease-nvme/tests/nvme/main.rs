//! The tier on a real file.

mod conformance;
mod contents;
mod fixture;
mod in_place;
mod mounts;
mod opening;
mod seccomp;
