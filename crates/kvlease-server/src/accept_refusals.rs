//! Refusals of the system to give a connection, counted and logged.

use std::{
    io, mem,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::metrics::Metrics;

/// How long nothing is accepted after the system refused to give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Least time between two lines on refused connections.
const REFUSALS_LOG_PAUSE: Duration = Duration::from_secs(60);

/// Refusals of one listener.
pub(crate) struct AcceptRefusals {
    metrics: Arc<Metrics>,
    refusals: Refusals,
}

impl AcceptRefusals {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        Self { metrics: Arc::clone(metrics), refusals: Refusals::default() }
    }

    /// Counts that the system refused to give a connection, logs it unless the last line on it is
    /// recent, and waits before the next try.
    pub(crate) async fn refused(&mut self, connection: &str, error: &io::Error) {
        self.metrics.accept_failed();
        if let Some(times) = self.refusals.count(Instant::now()) {
            let pause = REFUSALS_LOG_PAUSE.as_secs();
            tracing::warn!(
                times,
                "cannot accept {connection}: {error}; more of these are counted and logged once in \
                 {pause} s"
            );
        }
        sleep(ACCEPT_PAUSE).await;
    }
}

/// Refusals of the system since the last line on them.
#[derive(Default)]
struct Refusals {
    unlogged: u64,
    logged: Option<Instant>,
}

impl Refusals {
    /// Number of refusals for a line, if one is due: the first, and then what came in a pause.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.unlogged += 1;
        if self.logged.is_some_and(|logged| now.duration_since(logged) < REFUSALS_LOG_PAUSE) {
            return None;
        }
        self.logged = Some(now);
        Some(mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_at_once_and_then_with_a_count_after_each_pause() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.count(start), Some(1));
        for _ in 0..9 {
            assert_eq!(refusals.count(start + REFUSALS_LOG_PAUSE / 2), None);
        }
        assert_eq!(refusals.count(start + REFUSALS_LOG_PAUSE), Some(10));
        assert_eq!(refusals.count(start + REFUSALS_LOG_PAUSE), None);
    }
}
