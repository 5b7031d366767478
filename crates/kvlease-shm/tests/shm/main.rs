//! The segment as daemons and clients see it: real files on a real tmpfs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod arena;
mod attachment;
mod copy;
mod descriptor;
mod fixture;
mod generations;
mod lease_fence;
mod link;
mod manifest;
mod object_copy;
mod shortfall;
