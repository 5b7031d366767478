//! Tests with a server as a process. `cargo xtask test` runs them by this name, with more threads.

mod busy_store;
mod calls;
mod cluster;
mod cluster_server;
mod cluster_slots;
mod directory;
mod encrypted;
mod encrypted_server;
mod moving_slots;
mod process;
mod proxy;
mod refusals;
mod s3;
mod s3_server;
mod secrets;
mod summed;
mod valkey;
mod valkey_server;
