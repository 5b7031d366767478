//! Every decision of the cache: which object is where, who may read it until when, what leaves
//! when space is short, and when the space of something that may still be read is used again.
//!
//! The [`Catalog`] is the single source of truth. It never sees a payload byte, a socket or a
//! clock: each call takes the time as `now`, does a bounded piece of work and answers at once. Its
//! user keeps it under one mutex, moves the bytes, and calls [`Catalog::expire`] when
//! [`Catalog::next_event`] has come.
//!
//! What it protects: bytes that somebody may be reading are never given to somebody else.
//!
//! * An object is visible only once it is sealed, and immutable from then on.
//! * A leased object is neither evicted nor moved.
//! * The extents of a lease that expired unreleased wait for a grace before they are used again.
//! * Extents that an earlier incarnation may have leased are held out of the free space.
//!
//! Space and memory have hard limits. A call either does all of what it is asked for or says why
//! not and changes nothing.

#![forbid(unsafe_code)]

mod catalog;
mod config;
mod deadlines;
mod eviction;
mod extents;
mod ghost;
mod leases;
mod objects;
mod outcome;
mod slab;
mod space;
mod watch;

pub use catalog::{Catalog, Restoration};
pub use config::{
    CAPACITY_MAX, CatalogConfig, EXTENTS_PER_OBJECT_MAX, EvictionKind, LIST_SCAN_MAX,
    ParseEvictionKindError, UNIT,
};
pub use extents::Extents;
pub use outcome::{
    BucketInfo, CatalogStats, CatalogTotals, ExpiredLease, Lease, ListCursor, ObjectInfo,
    Reservation, Restored, Suspect, WriteId,
};
pub use watch::SlotWatch;
