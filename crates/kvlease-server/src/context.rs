//! Parts of the daemon that every request uses, over HTTP and the fast lane.

use std::{io, path::Path, sync::Arc};

use http::HeaderValue;
use kvlease_engine::Engine;
use kvlease_types::Epoch;

use crate::{config::Config, lease_ids::LeaseIds, metrics::Metrics, status::Status};

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
}

impl Context {
    pub(crate) fn new(
        engine: Engine,
        config: Config,
        epoch: Epoch,
        socket: Option<&Path>,
    ) -> io::Result<Self> {
        let engine = Arc::new(engine);
        Ok(Self {
            metrics: Arc::new(Metrics::new(Arc::clone(&engine))),
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
