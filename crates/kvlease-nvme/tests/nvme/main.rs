//! The tier on a real file.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

mod conformance;
mod contents;
mod fixture;
mod in_place;
mod mounts;
mod opening;
mod seccomp;
