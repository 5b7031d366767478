//! The program and the client library against a real daemon, over real sockets and a real segment.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

mod arenas;
mod backends;
mod bench;
mod bulk;
mod checkpoints;
mod client;
mod commands;
mod connector;
mod doctor;
mod encrypted;
mod habits;
mod hostile_start;
mod huge_pages;
mod index;
mod larger_batch;
mod posts;
mod program;
mod replay;
mod request_ids;
mod restart;
mod scale;
mod spares;
mod status;
mod tenant_command;
mod tenants;
mod tier_on_disk;
mod time_limits;
mod tls_daemon;
mod top;
