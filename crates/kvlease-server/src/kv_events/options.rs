//! Parts of a publisher.

use std::sync::Arc;

use kvlease_engine::Engine;
use kvlease_types::{ByteSize, Epoch};

use super::{blocks::BlockTable, listeners::Listeners};
use crate::config::EventsFormat;

/// Parts of a publisher.
pub(super) struct Options {
    pub(super) engine: Arc<Engine>,
    pub(super) blocks: Arc<BlockTable>,
    pub(super) listeners: Listeners,
    pub(super) topic: String,
    pub(super) format: EventsFormat,
    pub(super) epoch: Epoch,
    /// Memory of the batches that are kept for replays, and as much again for queues.
    pub(super) memory_max: ByteSize,
}
