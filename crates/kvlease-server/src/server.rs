//! One daemon from its parts.

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

use crate::{
    access::{Access, warn_of_tenants, watch_tokens},
    access_log::AccessLog,
    audit::Audit,
    config::{Config, ConfigError},
    context::Context,
    exit::ServeError,
    hosted::Hosted,
    kv_events::{self, Publisher},
    listening::{Listeners, Listening, Serving},
    otlp,
    quotas::watch_quotas,
    random::no_random,
    taken::{Promised, Taken},
    trim::trim,
    welcome::{others, welcome},
};

/// How often a draining daemon looks whether it is done.
const DRAIN_TURN: Duration = Duration::from_millis(20);

/// How long connections may take to end their last request once everything else has ended.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// A running daemon.
pub struct Server {
    /// That of the first arena.
    context: Arc<Context>,
    /// The first one is that of `server.address`.
    listening: Vec<Listening>,
    serving: Serving,
    /// All arenas: the first is that of `[cache]`.
    arenas: Vec<Hosted>,
    /// Tasks that look at the daemon or at files now and then, until it ends.
    watching: Vec<JoinHandle<()>>,
    /// Publisher of KV events, if there is one.
    publisher: Option<Publisher>,
    /// Sender of traces and metrics, if there is one.
    exporter: Option<otlp::Exporter>,
}

impl Server {
    /// Listens, takes the segment, and serves. It returns once requests are answered.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        config.socket_path()?;
        let listeners = Listeners::bind(&config, None).await?;
        Self::serve(listeners, config)
    }

    /// Serves on a socket that another process listens on already, whatever first address is configured.
    pub async fn start_on(
        listener: std::net::TcpListener,
        config: Config,
    ) -> Result<Self, ServeError> {
        config.socket_path()?;
        listener.set_nonblocking(true).map_err(ServeError::Inherited)?;
        let listener = TcpListener::from_std(listener).map_err(ServeError::Inherited)?;
        let address = listener.local_addr().map_err(ServeError::Inherited)?;
        if ![address, Config::default().address].contains(&config.address) {
            tracing::warn!(
                "the socket of the service manager overrides server.address: set ListenStream= of \
                 the socket unit, server.address=`{}` listening=`{address}`",
                config.address
            );
        }
        let listeners = Listeners::bind(&config, Some(listener)).await?;
        Self::serve(listeners, config)
    }

    /// Takes the segments and serves.
    fn serve(listeners: Listeners, config: Config) -> Result<Self, ServeError> {
        let access = Access::configured(&config)?;
        let otlp = otlp::prepare(&config)?;
        // Dropped last if something fails below: then new arenas go.
        let mut undo = Vec::new();
        let (mut taken, mut promised) = (Vec::new(), Promised::default());
        for name in config.arena_names() {
            let one = Taken::take(name, config.of_arena(name), &mut promised);
            let (one, undoing) = one.map_err(|error| error.in_arena(name))?;
            taken.push(one);
            undo.push(undoing);
        }
        let sockets = kv_events::bind(&config)?;
        let budget = promised.connection_memory(&config);
        let (mut running, mut lanes) = (Vec::new(), Vec::new());
        for (name, one) in config.arena_names().zip(taken) {
            let (one, lane) = one.start().map_err(|error| error.in_arena(name))?;
            lanes.push((lane, one.socket.clone()));
            running.push(one);
        }
        // As late as can be: each start writes its first line.
        let tenancy = (access, Audit::begin(&config)?, AccessLog::begin(&config)?);
        let others = running.split_off(1);
        let first = running.pop().expect("the first arena is always there");
        let context = Context::new(first, others, tenancy, otlp.as_ref(), budget);
        let context = Arc::new(context.map_err(no_random)?);
        if let Some(observer) = otlp.as_ref().and_then(otlp::Prepared::observer) {
            context.engine.observe_transfers(observer);
        }
        let exporter = otlp.map(|otlp| otlp.start(&context.metrics)).transpose()?;
        warn_of_tenants(&context.config);
        let publisher = sockets.map(|sockets| kv_events::start(sockets, &context)).transpose()?;
        let watching = vec![
            tokio::spawn(trim(Arc::clone(&context))),
            tokio::spawn(watch_tokens(Arc::clone(&context))),
        ];
        let served = context.all().zip(lanes).zip(undo);
        let served =
            served.map(|((context, lane), undo)| Hosted::serve(context, lane, undo, CLOSE_GRACE));
        let arenas = served.collect();
        let listening = listeners.addresses();
        let serving = listeners.serve(&context, CLOSE_GRACE);
        Ok(Self { context, listening, serving, arenas, watching, publisher, exporter })
    }

    /// Reads the configuration again on SIGHUP from now on, for its quotas.
    pub fn reread_quotas(
        &mut self,
        read: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static,
    ) {
        let watching = watch_quotas(Arc::clone(&self.context), Arc::new(read));
        self.watching.push(tokio::spawn(watching));
    }

    /// The address that it listens on; with port 0 configured, the one that was taken.
    pub fn address(&self) -> SocketAddr {
        self.listening[0].address
    }

    /// The address of the listener in the section `[listener."NAME"]`.
    pub fn listener_address(&self, name: &str) -> Option<SocketAddr> {
        self.listening.iter().find(|found| &*found.name == name).map(|found| found.address)
    }

    /// Path of the fast lane's socket; `None` if there is none.
    pub fn socket(&self) -> Option<&Path> {
        self.arenas[0].socket()
    }

    /// Path of the fast lane's socket of the arena in the section `[arena."NAME"]`; `None` if there is none.
    pub fn socket_of_arena(&self, name: &str) -> Option<&Path> {
        self.arenas.iter().find(|arena| &*arena.context().arena == name)?.socket()
    }

    /// The addresses on which it listens for subscribers to KV events, and for requests for what they
    /// missed.
    pub fn events_addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        self.publisher.as_ref().map_or((None, None), Publisher::addresses)
    }

    /// The first lines for people: what is served, and what to paste into LMCache.
    pub fn welcome(&self) -> String {
        let Self { listening, context, .. } = self;
        let stats = context.engine.stats();
        welcome(listening, &context.config, &stats, self.socket(), &others(&self.arenas[1..]))
    }

    /// Stops in order: takes no new work, lets running transfers end and clients release their
    /// leases for at most the configured time, then closes. What is still leased then stays as
    /// it is in the segment; the next incarnation honours it.
    pub async fn shutdown(self) {
        let limit = self.context.config.drain_timeout;
        self.stop_within(limit).await;
    }

    /// Stops at once, and removes the arenas that this daemon made.
    pub async fn abandon(self) {
        for arena in self.stop_within(Duration::ZERO).await {
            arena.remove();
        }
    }

    /// Ends all that serves the arenas, and returns them.
    async fn stop_within(mut self, limit: Duration) -> Vec<Hosted> {
        for arena in self.context.all() {
            arena.status.drain();
            arena.engine.end_events();
        }
        let started = Instant::now();
        let (leases, writes) = loop {
            let stats = self.context.all().map(|arena| arena.engine.stats().catalog);
            let (leases, writes) = stats.fold((0, 0), |(leases, writes), stats| {
                (leases + stats.leases_live, writes + stats.writes_in_flight)
            });
            if leases + writes == 0 || started.elapsed() >= limit {
                break (leases, writes);
            }
            sleep(DRAIN_TURN).await;
        };
        tracing::info!(leases, writes, "drained: closing connections");
        let lanes: Vec<_> = self.arenas.iter_mut().filter_map(Hosted::end_lane).collect();
        for accepting in lanes {
            // It has ended before only if it was torn down with the runtime.
            let _ = accepting.await;
        }
        self.serving.end().await;
        self.watching.iter().for_each(JoinHandle::abort);
        if let Some(publisher) = self.publisher {
            publisher.end().await;
        }
        self.arenas.iter().for_each(Hosted::stop);
        if let Some(exporter) = self.exporter {
            exporter.end().await;
        }
        if let Some(audit) = &self.context.audit {
            audit.end();
        }
        if let Some(log) = &self.context.access_log {
            log.end();
        }
        self.arenas
    }
}
