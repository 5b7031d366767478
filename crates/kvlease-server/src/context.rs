//! Parts of the daemon that every request uses, over HTTP and the fast lane.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use kvlease_api::{EPOCH_HEADER, SEGMENT_HEADER, SOCKET_HEADER};
use kvlease_engine::Engine;
use kvlease_types::{ByteSize, Epoch};

use crate::{
    config::Config, connection_memory::ConnectionMemory, lease_ids::LeaseIds,
    list_tokens::ListTokens, metrics::Metrics, sizing::PlaceCounts, status::Status,
};

/// The parts of a daemon that its requests use.
pub(crate) struct Context {
    pub(crate) engine: Arc<Engine>,
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) status: Status,
    /// Names of leases, as clients of HTTP see them.
    pub(crate) lease_ids: LeaseIds,
    /// Tokens of listings over HTTP.
    pub(crate) list_tokens: ListTokens,
    /// Places for connections.
    pub(crate) places: PlaceCounts,
    /// Memory that connections hold beside their places.
    pub(crate) memory: ConnectionMemory,
    /// Headers of every answer.
    announcement: Vec<(HeaderName, HeaderValue)>,
    /// False while the fast lane's path is not its socket's.
    socket_is_there: AtomicBool,
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
            announcement: announcement(&engine, epoch, socket),
            engine,
            config,
            status: Status::new(epoch),
            lease_ids: LeaseIds::new(epoch)?,
            list_tokens: ListTokens::new()?,
            socket_is_there: AtomicBool::new(true),
        })
    }

    /// Headers of every answer: the socket's only while clients can connect there.
    pub(crate) fn announcement(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        let is_there = self.socket_is_there.load(Relaxed);
        self.announcement.iter().filter(move |(name, _)| is_there || name != SOCKET_HEADER)
    }

    /// Remembers whether clients can connect to the fast lane's socket.
    pub(crate) fn set_socket_is_there(&self, is_there: bool) {
        self.socket_is_there.store(is_there, Relaxed);
    }
}

/// The headers that tell clients which incarnation answers, which file is its segment, and where its
/// fast lane is. A path that no header can carry is left out.
fn announcement(
    engine: &Engine,
    epoch: Epoch,
    socket: Option<&Path>,
) -> Vec<(HeaderName, HeaderValue)> {
    let socket = socket.map(|path| path.as_os_str().as_encoded_bytes().to_vec());
    let headers = [
        (EPOCH_HEADER, Some(epoch.to_string().into_bytes())),
        (SEGMENT_HEADER, Some(engine.arena_identity().to_string().into_bytes())),
        (SOCKET_HEADER, socket),
    ];
    let header = |(name, value): (&'static str, Option<Vec<u8>>)| {
        // Every answer has a copy, which is free if the bytes live as long as the process.
        let value = Bytes::from_static(value?.leak());
        Some((HeaderName::from_static(name), HeaderValue::from_maybe_shared(value).ok()?))
    };
    headers.into_iter().filter_map(header).collect()
}
