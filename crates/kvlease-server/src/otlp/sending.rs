//! Sending of messages of one signal.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use kvlease_engine::LogLimit;
use kvlease_sys::boot_time;
use tokio::{sync::watch, time::sleep};

use super::client::{Client, Failure};
use crate::config::OtlpEndpoint;

/// Time between two lines of the log on a collector that takes nothing.
const FAULTS_LOG_PAUSE: Duration = Duration::from_secs(60);

/// Pause before the first message is sent again; each other one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a message is sent again.
const RETRIES: u32 = 4;

/// Longest pause that a collector may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Way of a signal's messages.
#[derive(Debug)]
pub(super) struct Sending<'e> {
    client: &'e Client,
    url: Uri,
    signal: &'static str,
    stop: watch::Receiver<()>,
    faults: LogLimit,
}

impl<'e> Sending<'e> {
    pub(super) fn new(
        client: &'e Client,
        endpoint: &OtlpEndpoint,
        signal: &'static str,
        stop: watch::Receiver<()>,
    ) -> Self {
        let url = endpoint.of_signal(signal);
        Self { client, url, signal, stop, faults: LogLimit::new(FAULTS_LOG_PAUSE) }
    }

    /// Waits for a time, or for the order to stop. Returns whether that came.
    pub(super) async fn pause(&mut self, span: Duration) -> bool {
        tokio::select! {
            biased;
            _ = self.stop.changed() => true,
            () = sleep(span) => false,
        }
    }

    /// Sends a message once.
    pub(super) async fn send(&self, message: Bytes) -> Result<Bytes, Failure> {
        self.client.post(&self.url, message).await
    }

    /// Sends a message, and again after a pause while the collector may take it later.
    pub(super) async fn send_surely(&mut self, message: Bytes) -> Result<Bytes, Failure> {
        let mut retries = 0;
        loop {
            match self.send(message.clone()).await {
                Err(failure) if failure.is_transient && retries < RETRIES => {
                    // Daemons that failed together do not come again together.
                    let own = PAUSE * 2_u32.pow(retries);
                    let own = own.mul_f64(0.5 + fastrand::f64());
                    let pause = failure.pause.map_or(own, |asked| asked.min(PAUSE_MAX));
                    retries = if self.pause(pause).await { RETRIES } else { retries + 1 };
                }
                outcome => return outcome,
            }
        }
    }

    /// Tells now and then of what was lost.
    pub(super) fn tell(&self, lost: u64, reason: &str) {
        if let Some(lost) = self.faults.count(lost, boot_time()) {
            tracing::warn!(
                lost,
                "the OTLP collector does not take {}: check that it runs, and otlp.endpoint, url=`{}`, \
                 error=`{reason}`",
                self.signal,
                self.url
            );
        }
    }
}
