//! Parts of the daemon that every request uses, over HTTP and the fast lane.

use std::{io, path::Path, sync::Arc};

use kvlease_engine::Engine;
use kvlease_types::{ByteSize, Epoch};
use tokio::sync::Semaphore;

use crate::{
    access::Access,
    access_log::AccessLog,
    announcement::Announcement,
    audit::Audit,
    config::Config,
    connection_memory::ConnectionMemory,
    history::History,
    kv_events::BlockTable,
    lease_ids::LeaseIds,
    list_tokens::ListTokens,
    metrics::{LogCounters, Metrics},
    request_ids::RequestIds,
    sizing::PlaceCounts,
    status::Status,
};

/// The parts of a daemon that its requests use.
pub(crate) struct Context {
    pub(crate) engine: Arc<Engine>,
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) status: Status,
    /// Tenants; `None` if every caller may do everything.
    pub(crate) access: Option<Access>,
    /// Audit log, if there is one.
    pub(crate) audit: Option<Audit>,
    /// Access log, if there is one.
    pub(crate) access_log: Option<AccessLog>,
    /// Ids of requests over HTTP.
    pub(crate) request_ids: RequestIds,
    /// Names of leases, as clients of HTTP see them.
    pub(crate) lease_ids: LeaseIds,
    /// Tokens of listings over HTTP.
    pub(crate) list_tokens: ListTokens,
    /// Places for connections.
    pub(crate) places: PlaceCounts,
    /// Memory that connections hold beside their places.
    pub(crate) memory: ConnectionMemory,
    /// Place for the work on one long answer.
    pub(crate) long_work: Semaphore,
    /// Blocks that clients tell with their objects; `None` if no KV events are published.
    pub(crate) blocks: Option<Arc<BlockTable>>,
    /// Figures of the last day.
    pub(crate) history: History,
    /// Headers of every answer.
    pub(crate) announcement: Announcement,
}

impl Context {
    pub(crate) fn new(
        engine: Engine,
        config: Config,
        (access, audit, access_log): (Option<Access>, Option<Audit>, Option<AccessLog>),
        epoch: Epoch,
        socket: Option<&Path>,
        budget: ByteSize,
    ) -> io::Result<Self> {
        let engine = Arc::new(engine);
        let places = PlaceCounts::new(budget, config.connections_max);
        let counters = LogCounters {
            audit: audit.as_ref().map(Audit::counters).unwrap_or_default(),
            access: access_log.as_ref().map(AccessLog::counters).unwrap_or_default(),
        };
        let metrics = Metrics::new(Arc::clone(&engine), budget, counters);
        metrics.access.set_tenants(config.tenants.len());
        let publishes = config.events_endpoint.is_some();
        let blocks = publishes.then(|| Arc::new(BlockTable::new(config.events_memory_max)));
        Ok(Self {
            access,
            audit,
            access_log,
            request_ids: RequestIds::new()?,
            blocks,
            memory: ConnectionMemory::new(budget, metrics.memory.clone()),
            places,
            long_work: Semaphore::new(1),
            metrics: Arc::new(metrics),
            announcement: Announcement::new(&engine, epoch, socket),
            engine,
            config,
            history: History::new(),
            status: Status::new(epoch),
            lease_ids: LeaseIds::new(epoch)?,
            list_tokens: ListTokens::new()?,
        })
    }
}
