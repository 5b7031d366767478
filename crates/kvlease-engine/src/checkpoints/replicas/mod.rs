//! Replicas: copies of shards in the store that nodes share, from which another node loads them.
//!
//! | key in the namespace's bucket | object of the tier |
//! |---|---|
//! | `namespace/RANKS/RETAINED` | the namespace and its shape |
//! | `part/RANK/STEP/ROUND/SEQUENCE/NUMBER` | a part of a shard |
//! | `shard/RANK/STEP/ROUND/SEQUENCE/` | [`record`]: the shard, once all of its parts are stored |
//!
//! One task copies and removes, in the order in which shards were stored and left ([`worker`]). A node that
//! does not have a namespace, or is asked for its steps, looks what the store has ([`view`]): what is
//! newer than its own shards takes their place in the table, as a shard without bytes here. Such shards
//! are read from the store ([`reader`]), and leave by the rules of all others.

mod queue;
mod reader;
mod record;
mod remote;
mod view;
mod worker;

pub(super) use queue::Replicas;
pub(super) use reader::ReplicaRead;
