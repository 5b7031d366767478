//! Tier on the node's NVMe: a log of segments in one file, its index in memory.
//!
//! [`NvmeTier`] keeps objects in one preallocated file of segments, which docs/nvme-tier.md describes. A
//! segment is written once, front to back; the oldest one is reclaimed as a whole. The index knows every
//! object, so a look-up needs no I/O.
//!
//! | part | work |
//! |---|---|
//! | `format` | the blocks of the file |
//! | `open`, `recovery` | the start: probes, superblock, what the segments hold |
//! | `index`, `segments`, `state` | what the tier has and where, under one lock, without I/O |
//! | `worker` | threads that move pieces of objects |
//! | `commit` | the thread that syncs, publishes and answers |
//! | `maintenance` | the thread that starts, seals and reclaims segments |
//! | `device` | the way to the file |

#![forbid(unsafe_code)]

mod commit;
mod config;
mod device;
mod error;
mod fingerprint;
mod format;
mod geometry;
mod index;
mod list;
mod maintenance;
mod open;
mod pieces;
mod recovery;
mod rewrite;
mod segments;
mod shared;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod threads;
mod ticket;
mod tier;
mod way;
mod worker;

pub use config::{DEPTH, IoChoice, NvmeConfig, WORKERS};
pub use error::NvmeError;
pub use recovery::NvmeRecovery;
pub use tier::NvmeTier;
pub use way::{IoWay, Way};
