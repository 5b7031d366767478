//! The segment as clients see it: real files on a real tmpfs, owned by a real arena.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attachment;
mod descriptor;
mod fixture;
mod generations;
mod index;
mod object_copy;
