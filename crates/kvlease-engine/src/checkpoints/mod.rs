//! Checkpoints of training jobs: shards by namespace, step and rank, in objects that eviction never
//! takes, and beyond the memory's share in files on the node's disk ([`disk`]).
//!
//! A namespace is one retained bucket. Nothing is stored beside the objects in it and the files, so a
//! restart finds checkpoints as it finds all objects:
//!
//! * an empty object says that the namespace is there, and of which shape;
//! * a shard is an object whose key has its rank and its step, its client's description of the bytes,
//!   and what orders it among the writes of that rank and step ([`name`]);
//! * or it is a file whose header has this key and the namespace's shape, so that a start without the
//!   arena, as after a reboot, finds what is on the disk.
//!
//! [`table`] is what these names say, in memory. A rewritten shard is stored under a key of its own and
//! takes the place of the earlier one when it is sealed, so readers find one or the other as a whole.
//! Steps leave as a whole, and never the newest whole one.
//!
//! Where replicas are configured, shards are copied to the store that nodes share ([`replicas`]).
//!
//! Locks: the table's first, then those of the state; none of them while a file is touched. Space for
//! shards has a quota of its own ([`quota`]).

mod disk;
mod handle;
mod load;
mod name;
mod namespaces;
mod put;
mod quota;
mod read;
mod refused;
mod replicas;
mod shards;
mod table;

pub use disk::ShardDisk;
pub use handle::Checkpoints;
pub use name::{NamespaceShape, SHARD_META_LEN_MAX, ShardPlace};
pub use put::ShardPut;
pub use read::ShardRead;
pub use refused::CheckpointRefused;
pub use table::CheckpointStats;
