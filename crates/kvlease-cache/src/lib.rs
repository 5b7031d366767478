//! Decisions of the cache: which object is where, who may read it until when, what leaves when
//! space is short, and when space that may still be read is used again.
//!
//! The [`Catalog`] is the single source of truth. It never sees a payload byte, a socket or a
//! clock: each call takes the time as `now`, does a bounded piece of work and answers at once. Its
//! user keeps it under one mutex, moves the bytes, and
//!
//! * calls [`Catalog::expire`] regularly;
//! * drains the change log after each call that may have changed something: takes the changes,
//!   applies them outside of the mutex, and acknowledges them (see [`Change`]);
//! * evicts ahead of need while [`Catalog::is_short_of_room`]: asks for [victims](Catalog::victims)
//!   and [gives them up](Catalog::give_up).
//!
//! Guarantee: bytes that a client may be reading are never given to another writer.
//!
//! * An object is visible only once it is sealed, and immutable from then on.
//! * A leased object is neither evicted nor moved.
//! * The extents of a lease that expired unreleased wait for a grace before they are used again.
//! * Extents that an earlier incarnation may have leased are kept out of the free space.
//! * Extents of an object that left are used again only after its departure was acknowledged.
//!
//! Space and memory have hard limits. A call either does all of what it is asked for or says why
//! not and changes nothing.
//!
//! The crate is pure: no clock, no I/O, no threads, no randomness. Two catalogs with the same
//! configuration that get the same calls are the same. `clippy.toml` beside this crate bans the
//! rest and names the replacements.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod catalog;
mod changes;
mod classes;
mod config;
mod curve;
mod deadlines;
mod eviction;
mod extents;
mod ghost;
mod group;
mod groups;
mod hash;
mod late;
mod leases;
mod number_table;
mod objects;
mod outcome;
mod quarantine;
mod quota_config;
mod quotas;
mod references;
mod slab;
mod space;
mod tally;

pub use catalog::{Catalog, Restoration};
pub use changes::{CHANGES_MAX, Change, ChangeFeed, ChangeKind, Gap};
pub use config::{
    CAPACITY_MAX, CatalogConfig, EVICTIONS_PER_CALL_MAX, EXTENTS_PER_OBJECT_MAX, EvictionKind,
    FREE_TARGET_ABOVE_TIER_MAX, FREE_TARGET_CAPACITY_MIN, FREE_TARGET_MAX, HAND_OVER_BATCH,
    LIST_SCAN_MAX, ParseEvictionKindError, SPACE_QUOTAS_MAX, UNIT, VICTIMS_BATCH,
};
pub use curve::{CurveConfig, CurvePoint, CurveStats, LiveCurve, PolicyChoice};
pub use eviction::{CacheSimulation, FormerPolicy, Successor};
pub use extents::Extents;
pub use outcome::{
    BucketInfo, CatalogStats, CatalogTotals, ClassInfo, ExpiredLease, Lease, LeaseAges, ListCursor,
    ObjectInfo, PolicyInfo, Reservation, Restored, Room, ScrubCandidate, Victim, WriteId,
};
pub use quota_config::{BucketOwners, QuotaConfig};
pub use quotas::{QuotaRefusals, QuotaUse, QuotaUses};
pub use references::References;
