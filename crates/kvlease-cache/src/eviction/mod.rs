//! Eviction policies: the order in which unleased objects leave.
//!
//! A policy knows objects by their slot and nothing else about them. It chooses the next object;
//! the catalog decides when, and which objects are pinned: those with a lease, or in the grace
//! after one.

mod list;
mod lru;
mod policy;
mod s3_fifo;

pub(crate) use list::{Links, List};
pub(crate) use policy::EvictionPolicy;

use crate::config::EvictionKind;

/// The policy of that kind, empty.
pub(crate) fn policy(kind: EvictionKind) -> Box<dyn EvictionPolicy> {
    match kind {
        EvictionKind::Lru => Box::new(lru::Lru::default()),
        EvictionKind::S3Fifo => Box::new(s3_fifo::S3Fifo::default()),
    }
}

/// Memory that any policy takes per slot, for the accounting: the larger one's.
pub(crate) const SLOT_BYTES: usize = s3_fifo::SLOT_BYTES;
