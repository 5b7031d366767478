//! Remote tiers against real servers: the conformance suite, and what it does not cover.
//!
//! The servers are `redis-server` and `s3s-fs`; `cargo xtask stores` gets them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod calls;
mod cluster;
mod cluster_server;
mod directory;
mod process;
mod proxy;
mod s3;
mod s3_server;
mod secrets;
mod valkey;
mod valkey_server;
