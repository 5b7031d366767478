//! Catalog and arena as one: storing, leasing and reading objects, and the work behind the
//! requests. Asynchronous where something is waited for; knows no HTTP.
//!
//! * A [`Put`] is a pending object: dropping it leaves no trace, [`Put::seal`] publishes.
//! * A [`Reservation`] is one that a client writes into the arena by itself: dropping it leaves no
//!   trace, [`Engine::commit`] publishes. A spare one has no key before [`Engine::store`] publishes it.
//! * [`Grants`] are leases that their client does not know of yet: dropping them releases them,
//!   [`Grants::deliver`] hands them to the client.
//! * A [`Read`] streams an object out of the arena and checks its checksum on the way.
//! * [`Checkpoints`] keep shards of training jobs in objects that eviction never takes, and in files.
//! * A [`CaptureConfig`] has the stream of requests written down, with hashes in place of names.
//! * A [`Subscription`] tells what is published and unpublished, and never slows a request down.
//!
//! One mutex guards the catalog together with the writers that others wait for. It is never held
//! across an `await`, a copy, or a system call.

#![forbid(unsafe_code)]

mod bucket_policies;
mod bucket_totals;
mod capture;
mod checkpoints;
mod clock;
mod config;
mod counters;
mod cursor;
mod curve;
mod drain;
mod engine;
mod error;
mod events;
mod expiring;
mod grants;
mod held_space;
mod lease_ages;
mod line_files;
mod log_limit;
mod maintenance;
mod open_reservations;
mod policy;
mod put;
mod read;
mod readers;
mod recovery;
mod references;
mod report_queue;
mod reports;
mod requests;
mod reservation;
mod room;
mod room_signal;
mod scrub;
mod shared;
#[cfg(test)]
mod simulation;
mod state;
mod tiers;
mod verify;
mod write;

pub use bucket_policies::BucketPolicies;
pub use bucket_totals::LargestBuckets;
pub use capture::{CAPTURE_FILE_LEN_DEFAULT, CAPTURE_FILES_DEFAULT, CaptureConfig};
pub use checkpoints::{
    CheckpointRefused, CheckpointStats, Checkpoints, NamespaceShape, SHARD_META_LEN_MAX, ShardDisk,
    ShardPlace, ShardPut, ShardRead,
};
pub use config::{
    COPIES_WAIT_MAX_DEFAULT, EngineConfig, RESERVATION_TTL_DEFAULT, SCRUB_RATE_DEFAULT,
};
pub use counters::{CounterRow, CounterUnit, CountersSnapshot};
pub use engine::{Engine, EngineStats};
pub use error::StartError;
pub use events::{
    Delivery, EVENTS_MEMORY_DEFAULT, Event, EventKind, SUBSCRIBERS_MAX, Snapshot, Subscription,
};
pub use grants::Grants;
pub use kvlease_cache::{CurveConfig, CurvePoint, CurveStats, LeaseAges, PolicyChoice};
pub use line_files::{LineFileKind, LineFiles, LineFilesError};
pub use log_limit::LogLimit;
pub use policy::PolicyState;
pub use put::Put;
pub use read::{READ_PIECE_MAX, Read, ReadError};
pub use recovery::Recovery;
pub use requests::{NotStored, Renewed, ReserveLimits, StoreItem};
pub use reservation::Reservation;
pub use tiers::{
    BucketSet, RATE_MIN_DEFAULT, Removed, TierConfig, TierSnapshot, TierStats, Transfer,
    TransferEnd, TransferObserver, TransferOutcome, TransferWay, Unanswered, Whereabouts,
};
pub use write::Stored;
