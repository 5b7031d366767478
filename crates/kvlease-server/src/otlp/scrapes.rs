//! Metrics, from the daemon's own table to the collector.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry_proto::tonic::resource::v1::Resource;

use super::{
    metrics::{self, Span},
    resource::unix_nanos,
    sending::Sending,
};
use crate::metrics::{Metrics, OtlpCounters};

/// Way of metrics from their table to the collector.
#[derive(Debug)]
pub(super) struct Scrapes<'e> {
    metrics: Arc<Metrics>,
    resource: &'e Resource,
    /// Start of the daemon, in nanoseconds since 1970.
    begin: u64,
    interval: Duration,
    sending: Sending<'e>,
    counters: OtlpCounters,
}

impl<'e> Scrapes<'e> {
    pub(super) fn new(
        metrics: Arc<Metrics>,
        (resource, begin, interval): (&'e Resource, u64, Duration),
        sending: Sending<'e>,
        counters: OtlpCounters,
    ) -> Self {
        Self { metrics, resource, begin, interval, sending, counters }
    }

    /// Sends the metrics again and again until the order to stop, and then once more.
    pub(super) async fn run(&mut self) {
        while !self.sending.pause(self.interval).await {
            self.send().await;
        }
        self.send().await;
    }

    /// Sends the metrics. They are totals: what was lost is in the next ones.
    async fn send(&mut self) {
        let span = Span { begin: self.begin, end: unix_nanos(SystemTime::now()) };
        let message = metrics::message(self.resource, &self.metrics.encode(), span);
        let outcome = self.sending.send(message.into()).await;
        self.counters.metrics.count(outcome.is_ok());
        let rejected = outcome.as_ref().map_or(0, |answer| metrics::rejected(answer));
        match outcome {
            Err(failure) => self.sending.tell(1, &failure.text),
            Ok(_) if rejected > 0 => {
                self.sending.tell(1, &format!("it rejected {rejected} values"));
            }
            Ok(_) => {}
        }
    }
}
