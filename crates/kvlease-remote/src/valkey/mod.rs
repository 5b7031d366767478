//! Valkey and Redis, as a single server or a cluster.
//!
//! An object up to [`PIECE_LEN`](format::PIECE_LEN) is one value. A larger one has pieces under names
//! of their own, so that a cluster spreads them. The writer stores the pieces first and the head last,
//! so a reader that finds the head finds all of the object; if the server evicted a piece since, the
//! object is absent. Pieces expire until the head is there, so a writer that dies leaves nothing.

mod access;
mod answer;
mod call;
mod cluster;
mod fetch;
mod find;
mod format;
mod link;
mod list;
mod load;
mod node;
mod remove;
mod servers;
mod set;
mod shelf;
mod slots;
mod store;
mod stream;
mod streams;
mod values;

pub(crate) use values::Valkey;

crate::tier::tier_of_store!(Valkey, "valkey", format::LEN_MAX);
