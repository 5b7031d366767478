//! The segment as daemons see it: real files on a real tmpfs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fixture;
mod lease_fence;
mod link;
mod manifest;
mod opening;
mod shortfall;
