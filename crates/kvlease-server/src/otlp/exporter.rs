//! The thread that sends spans and metrics to a collector.

use std::{
    pin::pin,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::{
    runtime::Builder,
    sync::{
        mpsc::{Receiver, Sender, channel},
        watch,
    },
    time::timeout,
};

use super::{
    SpanRecord,
    batches::Batches,
    client::Client,
    resource::{resource, unix_nanos},
    scrapes::Scrapes,
    sending::Sending,
};
use crate::{
    config::{Config, OtlpEndpoint, OtlpSettings},
    exit::ServeError,
    metrics::{Metrics, OtlpCounters},
};

/// Records that wait to be sent, as OpenTelemetry's own exporters have it.
const RECORDS_MAX: usize = 2_048;

/// How long a stopping daemon waits for the collector to take what is left.
const FLUSH_MAX: Duration = Duration::from_secs(3);

/// Time for the thread to end beside that.
const THREAD_END: Duration = Duration::from_millis(500);

/// Parts that are made before the daemon has touched anything.
#[derive(Debug)]
pub(super) struct Parts {
    settings: OtlpSettings,
    endpoint: OtlpEndpoint,
    client: Client,
    resource: Resource,
    records: Option<Receiver<SpanRecord>>,
}

impl Parts {
    /// Makes the parts, and the queue of spans if those are sent.
    pub(super) fn new(
        config: &Config,
        endpoint: &OtlpEndpoint,
    ) -> Result<(Option<Sender<SpanRecord>>, Self), ServeError> {
        let settings = config.otlp.clone();
        let client = Client::new(&settings)?;
        let resource = resource(&settings.resource_attributes);
        let queue = settings.signals.has_traces().then(|| channel(RECORDS_MAX));
        let (queue, records) = queue.unzip();
        Ok((queue, Self { settings, endpoint: endpoint.clone(), client, resource, records }))
    }
}

/// The thread, while it runs.
#[derive(Debug)]
pub(crate) struct Exporter {
    /// The order to send what is left and to end, given by dropping it.
    stop: watch::Sender<()>,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Starts to send.
    pub(super) fn start(
        parts: Parts,
        counters: OtlpCounters,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ServeError> {
        let refused = |source| ServeError::System { what: "threads", source };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let (stop, stopped) = watch::channel(());
        tracing::info!(
            endpoint = %parts.endpoint, signals = ?parts.settings.signals,
            sample_ratio = parts.settings.sample_ratio, "traces and metrics are sent over OTLP"
        );
        let metrics = Arc::clone(metrics);
        let named = thread::Builder::new().name("kvlease-otlp".into());
        let work = move || runtime.block_on(run(parts, counters, metrics, stopped));
        Ok(Self { stop, thread: named.spawn(work).map_err(refused)? })
    }

    /// Sends what is left, if the collector takes it in time.
    pub(crate) async fn end(self) {
        drop(self.stop);
        let joined = tokio::task::spawn_blocking(|| self.thread.join());
        // A name that is being resolved may keep the thread.
        if let Ok(joined) = timeout(FLUSH_MAX + THREAD_END, joined).await {
            joined.expect("a join does not panic").expect("a panic ends the process");
        }
    }
}

async fn run(
    parts: Parts,
    counters: OtlpCounters,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<()>,
) {
    let Parts { settings, endpoint, client, resource, records } = parts;
    let begin = unix_nanos(SystemTime::now());
    let sending = |signal| Sending::new(&client, &endpoint, signal, stop.clone());
    let mut traces = records.map(|records| {
        Batches::new(records, &resource, sending("traces"), counters.clone(), stop.clone())
    });
    let mut scrapes = settings.signals.has_metrics().then(|| {
        let interval = settings.interval;
        Scrapes::new(metrics, (&resource, begin, interval), sending("metrics"), counters.clone())
    });
    let mut both = pin!(async {
        let traces = async {
            if let Some(traces) = &mut traces {
                traces.run().await;
            }
        };
        let scrapes = async {
            if let Some(scrapes) = &mut scrapes {
                scrapes.run().await;
            }
        };
        tokio::join!(traces, scrapes);
    });
    tokio::select! {
        biased;
        () = &mut both => return,
        _ = stop.changed() => {}
    }
    if timeout(FLUSH_MAX, both).await.is_err() {
        tracing::warn!(
            "the OTLP collector did not take the last spans and metrics in time: they are lost, \
             otlp.endpoint=`{endpoint}`"
        );
    }
}
