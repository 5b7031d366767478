//! Refusals of the system to give a connection, counted and logged.

use std::{io, sync::Arc, time::Duration};

use kvlease_engine::LogLimit;
use kvlease_sys::boot_time;
use tokio::time::sleep;

use crate::metrics::Metrics;

/// How long nothing is accepted after the system refused to give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Least time between two lines on refused connections.
const REFUSALS_LOG_PAUSE: Duration = Duration::from_secs(60);

/// Refusals of one listener.
pub(crate) struct AcceptRefusals {
    metrics: Arc<Metrics>,
    lines: LogLimit,
}

impl AcceptRefusals {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        Self { metrics: Arc::clone(metrics), lines: LogLimit::new(REFUSALS_LOG_PAUSE) }
    }

    /// Counts that the system refused to give a connection, logs it unless the last line on it is
    /// recent, and waits before the next try.
    pub(crate) async fn refused(&mut self, connection: &str, error: &io::Error) {
        self.metrics.accept_failed();
        if let Some(times) = self.lines.count(1, boot_time()) {
            let pause = self.lines.pause().as_secs();
            tracing::warn!(
                times,
                "cannot accept {connection}: {error}; more of these are counted and logged once in \
                 {pause} s"
            );
        }
        sleep(ACCEPT_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_at_once_and_then_with_a_count_after_each_pause() {
        let (refusals, start) = (LogLimit::new(REFUSALS_LOG_PAUSE), boot_time());
        let count = |after| refusals.count(1, start.after(after));
        assert_eq!(count(Duration::ZERO), Some(1));
        for _ in 0..9 {
            assert_eq!(count(REFUSALS_LOG_PAUSE / 2), None);
        }
        assert_eq!(count(REFUSALS_LOG_PAUSE), Some(10));
        assert_eq!(count(REFUSALS_LOG_PAUSE), None);
    }
}
