//! Batches of spans, from the queue to the collector.

use std::time::Duration;

use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::{
    sync::{mpsc::Receiver, watch},
    time::{Instant, sleep_until},
};

use super::{SpanRecord, sending::Sending, spans};
use crate::metrics::OtlpCounters;

/// Spans of one message.
const BATCH_MAX: usize = 512;

/// How long a span waits for others.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Way of spans from the queue to the collector.
#[derive(Debug)]
pub(super) struct Batches<'e> {
    records: Receiver<SpanRecord>,
    batch: Vec<SpanRecord>,
    resource: &'e Resource,
    sending: Sending<'e>,
    counters: OtlpCounters,
    stop: watch::Receiver<()>,
}

impl<'e> Batches<'e> {
    pub(super) fn new(
        records: Receiver<SpanRecord>,
        resource: &'e Resource,
        sending: Sending<'e>,
        counters: OtlpCounters,
        stop: watch::Receiver<()>,
    ) -> Self {
        let batch = Vec::with_capacity(BATCH_MAX);
        Self { records, batch, resource, sending, counters, stop }
    }

    /// Sends all spans until the order to stop, and then those that are left.
    pub(super) async fn run(&mut self) {
        let mut goes_on = true;
        while goes_on {
            goes_on = self.collect().await;
            self.send().await;
        }
        loop {
            self.take_what_is_there();
            if self.batch.is_empty() {
                return;
            }
            self.send().await;
        }
    }

    /// Fills the batch until spans have waited long enough. Returns false at the order to stop.
    async fn collect(&mut self) -> bool {
        let until = Instant::now() + WAIT_MAX;
        while self.batch.len() < BATCH_MAX {
            let room = BATCH_MAX - self.batch.len();
            tokio::select! {
                biased;
                _ = self.stop.changed() => return false,
                // None at all is the end of those who record.
                taken = self.records.recv_many(&mut self.batch, room) => if taken == 0 {
                    return false;
                },
                () = sleep_until(until), if !self.batch.is_empty() => break,
            }
        }
        true
    }

    fn take_what_is_there(&mut self) {
        while self.batch.len() < BATCH_MAX
            && let Ok(record) = self.records.try_recv()
        {
            self.batch.push(record);
        }
    }

    /// Sends the batch, and counts what came of it.
    async fn send(&mut self) {
        let spans = self.batch.len() as u64;
        if spans == 0 {
            return;
        }
        let message = spans::message(self.resource, &self.batch);
        self.batch.clear();
        let outcome = self.sending.send_surely(message.into()).await;
        let rejected = match &outcome {
            Ok(answer) => spans::rejected(answer).min(spans),
            Err(_) => spans,
        };
        self.counters.traces.count(outcome.is_ok());
        self.counters.spans_sent.inc_by(spans - rejected);
        self.counters.spans_failed.inc_by(rejected);
        if rejected > 0 {
            let reason = outcome.err().map(|failure| failure.text);
            self.sending.tell(rejected, reason.as_deref().unwrap_or("it rejected them"));
        }
    }
}
