//! Parts of the daemon that every request uses, over HTTP and the fast lane.

use std::{io, path::Path, sync::Arc};

use http::HeaderValue;
use kvlease_engine::Engine;
use kvlease_types::{ByteSize, Epoch};

use crate::{
    config::Config, connection_memory::ConnectionMemory, lease_ids::LeaseIds, metrics::Metrics,
    sizing::PlaceCounts, status::Status,
};

/// The parts of a daemon that its requests use.
pub(crate) struct Context {
    pub(crate) engine: Arc<Engine>,
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) status: Status,
    /// Names of leases, as clients of HTTP see them.
    pub(crate) lease_ids: LeaseIds,
    /// Path of the fast lane's socket, for the header that reports it.
    pub(crate) socket: Option<HeaderValue>,
    /// PlaceCounts for connections.
    pub(crate) places: PlaceCounts,
    /// Memory that connections hold beside their places.
    pub(crate) memory: ConnectionMemory,
}

impl Context {
    pub(crate) fn new(
        engine: Engine,
        config: Config,
        epoch: Epoch,
        socket: Option<&Path>,
        budget: ByteSize,
    ) -> io::Result<Self> {
        let engine = Arc::new(engine);
        let places = PlaceCounts::new(budget, config.connections_max);
        let metrics = Metrics::new(Arc::clone(&engine), budget);
        Ok(Self {
            memory: ConnectionMemory::new(budget, metrics.memory.clone()),
            places,
            metrics: Arc::new(metrics),
            engine,
            config,
            status: Status::new(epoch),
            lease_ids: LeaseIds::new(epoch)?,
            socket: socket.and_then(header),
        })
    }
}

/// The path as a header can carry it; `None` if none can.
fn header(path: &Path) -> Option<HeaderValue> {
    HeaderValue::from_bytes(path.as_os_str().as_encoded_bytes()).ok()
}
