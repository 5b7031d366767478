//! Parts of the daemon that every request uses, over HTTP and the fast lane.

use std::{io, iter, path::PathBuf, sync::Arc, time::Duration};

use kvlease_engine::Engine;
use kvlease_types::{ByteSize, Caller, Epoch};
use tokio::sync::Semaphore;

use crate::{
    access::Access,
    access_log::AccessLog,
    announcement::Announcement,
    answer_times::AnswerTimes,
    audit::Audit,
    config::Config,
    connection_memory::ConnectionMemory,
    history::History,
    kv_events::BlockTable,
    lease_ids::LeaseIds,
    list_tokens::ListTokens,
    metrics::{LogCounters, Metrics},
    otlp::{Prepared, Traces},
    quotas::{QuotaMetrics, QuotaView, RequestQuotas},
    request_ids::RequestIds,
    scheduling::TenantScheduler,
    sizing::PlaceCounts,
    status::Status,
};

/// The parts of one arena that its requests use, and those that all arenas of the daemon share.
pub(crate) struct Context {
    pub(crate) engine: Arc<Engine>,
    pub(crate) config: Config,
    /// Requests of this arena; those of the first one have the connections of all.
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) status: Status,
    /// Tenants; `None` if every caller may do everything.
    pub(crate) access: Option<Arc<Access>>,
    /// Quotas of requests and connections.
    pub(crate) quotas: Arc<RequestQuotas>,
    /// Turns of tenants at the threads; `None` if there are no two tenants.
    pub(crate) scheduler: Option<Arc<TenantScheduler>>,
    /// Times of answers about buckets, if any has one.
    pub(crate) answer_times: Option<AnswerTimes>,
    /// Quotas that this arena shows.
    pub(crate) quota_view: Arc<QuotaView>,
    /// Audit log, if there is one.
    pub(crate) audit: Option<Arc<Audit>>,
    /// Access log, if there is one.
    pub(crate) access_log: Option<Arc<AccessLog>>,
    /// Traces, if they are sent.
    pub(crate) traces: Option<Arc<Traces>>,
    /// Ids of requests over HTTP.
    pub(crate) request_ids: Arc<RequestIds>,
    /// Names of leases, as clients of HTTP see them.
    pub(crate) lease_ids: LeaseIds,
    /// Tokens of listings over HTTP.
    pub(crate) list_tokens: ListTokens,
    /// Places for connections; each arena has its part of those of the fast lane.
    pub(crate) places: PlaceCounts,
    /// Memory that connections hold beside their places.
    pub(crate) memory: Arc<ConnectionMemory>,
    /// Place for the work on one long answer.
    pub(crate) long_work: Semaphore,
    /// Blocks that clients tell with their objects; `None` if no KV events are published.
    pub(crate) blocks: Option<Arc<BlockTable>>,
    /// Figures of the last day.
    pub(crate) history: History,
    /// Headers of every answer.
    pub(crate) announcement: Announcement,
    /// Name of the arena.
    pub(crate) arena: Arc<str>,
    /// Place of the arena among all.
    pub(crate) place: usize,
    /// All other arenas, in their order, at the first one; none at the others.
    pub(crate) others: Vec<Arc<Self>>,
}

/// An arena whose engine runs.
pub(crate) struct Running {
    pub(crate) name: Arc<str>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) config: Config,
    pub(crate) epoch: Epoch,
    /// Path of the fast lane's socket.
    pub(crate) socket: Option<PathBuf>,
}

/// Parts that all arenas of a daemon have in common.
struct Shared {
    access: Option<Arc<Access>>,
    quotas: Arc<RequestQuotas>,
    scheduler: Option<Arc<TenantScheduler>>,
    audit: Option<Arc<Audit>>,
    access_log: Option<Arc<AccessLog>>,
    traces: Option<Arc<Traces>>,
    request_ids: Arc<RequestIds>,
    memory: Arc<ConnectionMemory>,
    places: PlaceCounts,
}

impl Context {
    /// The context of the first of these arenas, which knows those of the others.
    pub(crate) fn new(
        first: Running,
        others: Vec<Running>,
        (access, audit, access_log): (Option<Access>, Option<Audit>, Option<AccessLog>),
        otlp: Option<&Prepared>,
        budget: ByteSize,
    ) -> io::Result<Self> {
        let counters = LogCounters {
            audit: audit.as_ref().map(Audit::counters).unwrap_or_default(),
            access: access_log.as_ref().map(AccessLog::counters).unwrap_or_default(),
            otlp: otlp.map(|otlp| otlp.counters.clone()).unwrap_or_default(),
        };
        let quotas = Arc::new(RequestQuotas::configured(&first.config));
        let counted = |view| QuotaMetrics::new(view, Arc::clone(&quotas));
        let engines = iter::once(&first).chain(&others).map(|one| Arc::clone(&one.engine));
        let view = Arc::new(QuotaView::new(engines.collect(), &first.config, &first.name));
        let logs_and_quotas = (counters, counted(Arc::clone(&view)));
        let mut metrics = Metrics::new(Arc::clone(&first.engine), budget, logs_and_quotas);
        metrics.access.set_tenants(first.config.tenants.len());
        let of_other = |other: &Running| {
            let engines = vec![Arc::clone(&other.engine)];
            let view = Arc::new(QuotaView::new(engines, &other.config, &other.name));
            let counted = counted(Arc::clone(&view));
            (Arc::new(metrics.of_arena(&other.engine, budget, counted)), view)
        };
        let of_others: Vec<_> = others.iter().map(of_other).collect();
        let shown = others.iter().zip(&of_others);
        let shown = shown.map(|(other, (metrics, _))| {
            (Arc::clone(&other.name), Arc::clone(&other.engine), Arc::clone(metrics))
        });
        metrics.show_arenas(shown.collect());
        let places = PlaceCounts::new(budget, first.config.connections_max);
        let shared = Shared {
            access: access.map(Arc::new),
            quotas: Arc::clone(&quotas),
            scheduler: TenantScheduler::new(first.config.tenants.len()).map(Arc::new),
            audit: audit.map(Arc::new),
            access_log: access_log.map(Arc::new),
            traces: otlp.and_then(|otlp| otlp.traces.clone()),
            request_ids: Arc::new(RequestIds::new()?),
            memory: Arc::new(ConnectionMemory::new(budget, metrics.memory.clone())),
            places: places.for_lanes(1 + others.len()),
        };
        let others = (1..).zip(others.into_iter().zip(of_others)).map(|(place, (other, parts))| {
            Ok(Arc::new(Self::of_arena((other, place), &shared, parts, Vec::new())?))
        });
        let others = others.collect::<io::Result<_>>()?;
        Self::of_arena((first, 0), &shared, (Arc::new(metrics), view), others)
    }

    fn of_arena(
        (running, place): (Running, usize),
        shared: &Shared,
        (metrics, quota_view): (Arc<Metrics>, Arc<QuotaView>),
        others: Vec<Arc<Self>>,
    ) -> io::Result<Self> {
        let Running { name, engine, config, epoch, socket } = running;
        let publishes = config.events_endpoint.is_some();
        let blocks = publishes.then(|| Arc::new(BlockTable::new(config.events_memory_max)));
        Ok(Self {
            access: shared.access.clone(),
            quotas: Arc::clone(&shared.quotas),
            scheduler: shared.scheduler.clone(),
            answer_times: AnswerTimes::configured(&config),
            quota_view,
            audit: shared.audit.clone(),
            access_log: shared.access_log.clone(),
            traces: shared.traces.clone(),
            request_ids: Arc::clone(&shared.request_ids),
            blocks,
            memory: Arc::clone(&shared.memory),
            places: shared.places,
            long_work: Semaphore::new(1),
            metrics,
            announcement: Announcement::new(&engine, epoch, socket.as_deref()),
            engine,
            config,
            history: History::new(),
            status: Status::new(epoch),
            lease_ids: LeaseIds::new(epoch)?,
            list_tokens: ListTokens::new()?,
            arena: name,
            place,
            others,
        })
    }

    /// This arena and all others, in their order.
    pub(crate) fn all(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        iter::once(self).chain(&self.others)
    }

    /// The arena of a caller that was identified, and this one for all others.
    pub(crate) fn of_caller(&self, caller: &Caller) -> &Self {
        if self.others.is_empty() {
            return self;
        }
        let tenant = self.access.as_ref().and_then(|access| access.tenant_of(caller));
        let place = tenant.map_or(0, |tenant| tenant.arena);
        place.checked_sub(1).map_or(self, |place| &self.others[place])
    }

    /// The step of answers about a bucket; `None` if they come at once.
    pub(crate) fn answer_step(&self, bucket: &str) -> Option<Duration> {
        self.answer_times.as_ref().and_then(|times| times.step(bucket))
    }

    /// Whether answers to this caller name the arena: where there are several, it has to be known which is
    /// the caller's.
    pub(crate) fn is_told_to(&self, caller: &Caller) -> bool {
        self.others.is_empty() || caller.tenant.is_some()
    }
}
