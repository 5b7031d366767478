//! The daemon over real sockets: every byte that it is sent and every byte that it answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod buckets;
mod checkpoint;
mod config;
mod connections;
mod corruption;
mod curve;
mod daemon;
mod disconnect;
mod drain;
mod events;
mod framing;
mod kv_events;
mod lane;
mod lease;
mod lease_wait;
mod memory;
mod metrics;
mod names;
mod objects;
mod openapi;
#[cfg(feature = "otlp")]
mod otlp;
mod put;
mod refused_put;
mod request_ids;
mod space;
mod status_page;
mod table;
mod takeover;
mod tiers;
mod tls;

use kvlease_harness::wire;
