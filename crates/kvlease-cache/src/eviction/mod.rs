//! Eviction policies: the order in which unleased objects leave.
//!
//! A policy knows objects by their slot and nothing else about them. It chooses the next object;
//! the catalog decides when and of which class, and which objects are pinned: those with a lease, or in
//! the grace after one.

mod ghost_cache;
#[cfg(test)]
mod habits;
mod hit_density;
mod list;
mod lru;
mod per_owner;
mod policy;
mod s3_fifo;
mod simulation;
mod succession;

pub(crate) use ghost_cache::GhostCache;
pub(crate) use list::{Links, List};
pub(crate) use policy::{EvictionPolicy, HandOver};
pub use simulation::CacheSimulation;
pub(crate) use succession::Succession;
pub use succession::{FormerPolicy, Successor};

use crate::config::EvictionKind;

/// The policy of that kind, empty.
pub(crate) fn policy(kind: EvictionKind) -> Box<dyn EvictionPolicy> {
    match kind {
        EvictionKind::Lru => Box::new(lru::Lru::default()),
        EvictionKind::S3Fifo => Box::new(s3_fifo::S3Fifo::default()),
        EvictionKind::HitDensity => Box::new(hit_density::HitDensity::default()),
    }
}

/// Memory that any policy takes per slot, for the accounting: the largest one's.
pub(crate) const SLOT_BYTES: usize = if s3_fifo::SLOT_BYTES > hit_density::SLOT_BYTES {
    s3_fifo::SLOT_BYTES
} else {
    hit_density::SLOT_BYTES
};
