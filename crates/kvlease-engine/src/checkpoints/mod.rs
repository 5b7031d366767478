//! Checkpoints of training jobs: shards by namespace, step and rank, in objects that eviction never
//! takes.
//!
//! A namespace is one retained bucket. Nothing is stored beside the objects in it, so a restart finds
//! checkpoints as it finds all objects:
//!
//! * an empty object says that the namespace is there, and of which shape;
//! * a shard is an object whose key has its rank and its step, its client's description of the bytes,
//!   and what orders it among the writes of that rank and step ([`name`]).
//!
//! [`table`] is what these names say, in memory. A rewritten shard is stored under a key of its own and
//! takes the place of the earlier one when it is sealed, so readers find one or the other as a whole.
//! Steps leave as a whole, and never the newest whole one.
//!
//! Locks: the table's first, then those of the state. Space for shards has a quota of its own.

mod handle;
mod load;
mod name;
mod namespaces;
mod put;
mod refused;
mod shards;
mod table;

pub use handle::Checkpoints;
pub use name::{NamespaceShape, SHARD_META_LEN_MAX, ShardPlace};
pub use put::ShardPut;
pub use refused::CheckpointRefused;
pub use table::CheckpointStats;
