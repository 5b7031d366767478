//! Remote tiers against real servers: the conformance suite, and what it does not cover.
//!
//! The servers are `redis-server` and `s3s-fs`; `cargo xtask stores` gets them. Most of these tests
//! wait for servers, so `cargo test -p kvlease-remote --test stores -- --test-threads 8` is faster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod real_store;
