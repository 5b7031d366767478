//! KV events over ZeroMQ, in the form of vLLM's, for routers that read the events of engines.

#[cfg(feature = "zeromq")]
mod batch;
mod blocks;
mod hash;
#[cfg(feature = "zeromq")]
mod history;
mod listeners;
mod options;
#[cfg(feature = "zeromq")]
mod publisher;
#[cfg(feature = "zeromq")]
mod sockets;
mod start;

pub(crate) use blocks::{BlockTable, ObjectBlocks};
pub(crate) use listeners::bind;
pub(crate) use start::{Publisher, start};
