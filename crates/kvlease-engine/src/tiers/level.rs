//! A tier with what guards its use.

use std::{
    io,
    time::{Duration, Instant},
};

use kvlease_tier::{Answer, Name, Presence, Stat, Tier, TierError};
use kvlease_types::ByteSize;
use tokio::time::{sleep, timeout};

use super::{breaker::Breaker, config::TierConfig, counters::TierCounters, pace::Pace, rate::Rate};
use crate::{clock::now, log_limit::LogLimit};

/// Time between two lines of the log on objects that a tier refuses for one reason.
const REFUSALS_LOG_PAUSE: Duration = Duration::from_secs(600);

/// A tier in use.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) config: TierConfig,
    pub(crate) counters: TierCounters,
    pub(crate) rate: Rate,
    pace: Pace,
    breaker: Breaker,
    /// Lines of the log on objects that are too large for the tier.
    too_large: LogLimit,
    /// Lines of the log on objects that it has no room for.
    full: LogLimit,
}

impl Level {
    pub(crate) fn new(config: TierConfig) -> Self {
        Self {
            config,
            counters: TierCounters::default(),
            rate: Rate::default(),
            pace: Pace::default(),
            breaker: Breaker::default(),
            too_large: LogLimit::new(REFUSALS_LOG_PAUSE),
            full: LogLimit::new(REFUSALS_LOG_PAUSE),
        }
    }

    pub(crate) fn tier(&self) -> &dyn Tier {
        &*self.config.tier
    }

    /// Whether the tier has this very object.
    pub(crate) fn has(&self, name: &Name, stat: Stat) -> bool {
        self.tier().presence(name.bucket.as_str(), name.key.as_str()) == Presence::Here(stat)
    }

    /// Waits until a copy of `len` bytes keeps below the highest rate.
    pub(crate) async fn keep_pace(&self, len: ByteSize) {
        let Some(rate_max) = self.config.rate_max else { return };
        let wait = self.pace.reserve(len, rate_max, Instant::now());
        if !wait.is_zero() {
            self.counters.held_back.add_time(wait);
            sleep(wait).await;
        }
    }

    /// Whether the tier is left alone since it fails.
    pub(crate) fn is_broken(&self) -> bool {
        self.breaker.is_open()
    }

    /// Whether loads are left out since computing again is quicker.
    pub(crate) fn is_slow(&self) -> bool {
        self.config.rate_min.is_some_and(|rate_min| self.rate.is_below(rate_min.bytes()))
    }

    /// Whether a call may be made now, and is worth it if it is a load.
    pub(crate) fn admits(&self, load: bool) -> bool {
        let now = Instant::now();
        let rate_min = self.config.rate_min.filter(|_| load);
        if rate_min.is_some_and(|rate_min| !self.rate.is_worth(rate_min.bytes(), now)) {
            self.counters.skipped_slow.increment();
            return false;
        }
        let admits = self.breaker.admits(now);
        if !admits {
            self.counters.skipped_broken.increment();
        }
        admits
    }

    /// Waits for an answer within a limit of time, and takes its outcome into breaker and counters.
    pub(crate) async fn call<T>(
        &self,
        limit: Duration,
        answer: Answer<'_, T>,
    ) -> Result<T, TierError> {
        let answered = timeout(limit, answer).await;
        let in_time = answered.is_ok();
        let outcome = answered.unwrap_or_else(|_| {
            let text = format!("no answer within {limit:?}");
            Err(TierError::Unavailable(io::Error::new(io::ErrorKind::TimedOut, text).into()))
        });
        let error = outcome.as_ref().err();
        match error {
            _ if !in_time => self.counters.timeouts.increment(),
            Some(TierError::Corrupt { .. } | TierError::Foreign { .. }) => {
                self.counters.corrupt.increment();
            }
            Some(error @ (TierError::TooLarge { .. } | TierError::Full)) => {
                self.counters.unfit.increment();
                self.report_refusal(error);
            }
            Some(error) if error.is_of_tier() => self.counters.errors.increment(),
            _ => {}
        }
        let failure = error.filter(|error| error.is_of_tier());
        if self.breaker.record(failure.is_none(), Instant::now()) {
            self.report_breaker(failure);
        }
        outcome
    }

    /// Tells of refusals at times only: a full store refuses each object.
    fn report_refusal(&self, error: &TierError) {
        let limit = if matches!(error, TierError::Full) { &self.full } else { &self.too_large };
        if limit.count(1, now()).is_some() {
            let (tier, place) = (self.tier().kind(), self.tier().place());
            let refused = self.counters.unfit.get();
            tracing::warn!(tier, %place, refused, "the tier refuses objects: {error}");
        }
    }

    fn report_breaker(&self, failure: Option<&TierError>) {
        let (tier, place) = (self.tier().kind(), self.tier().place());
        match failure {
            Some(error) => tracing::error!(
                tier, %place,
                "the tier fails: the arena serves alone, and one call in a while tries again: {error}"
            ),
            None => tracing::info!(tier, %place, "the tier works again"),
        }
    }
}
