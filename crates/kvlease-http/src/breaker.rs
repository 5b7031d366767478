//! Leaves a daemon alone that cannot be reached, and finds out soon when it is back.
//!
//! After [`OPEN_AFTER`] calls in a row without a connection or without an answer, calls fail at
//! once, so that an engine computes what it could have loaded rather than wait for each object in
//! turn. One call at a time is let through to see whether the daemon is back: after
//! [`PROBE_AFTER_MIN`], and after twice as long each time it fails, up to [`PROBE_AFTER_MAX`]. Any
//! answer, be it a refusal, ends that.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// How many calls in a row must fail.
pub const OPEN_AFTER: u32 = 3;

/// How long after that the first call is let through.
pub const PROBE_AFTER_MIN: Duration = Duration::from_millis(100);

/// The longest time between two calls that are let through.
pub const PROBE_AFTER_MAX: Duration = Duration::from_secs(5);

/// Whether a client calls its daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakerState {
    /// It does. Fewer calls in a row have failed than [`OPEN_AFTER`].
    Closed {
        /// Failed calls in a row.
        failures: u32,
    },
    /// It does not, but for one call now and then.
    Open {
        /// Failed calls in a row.
        failures: u32,
        /// After how long one is let through. Zero while that one is under way.
        retry_in: Duration,
    },
}

/// Counts failures in a row. While nothing fails it costs one load of an atomic per call and
/// outcome.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Written under the lock only.
    failures: AtomicU32,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    open: Option<Open>,
    /// The number of the last call that was let through while open.
    probes: u64,
}

#[derive(Debug)]
struct Open {
    probe_at: Instant,
    pause: Duration,
    /// The number of the call that is let through now.
    probe: Option<u64>,
}

/// Permission to call. The outcome of the call is reported with one of its methods; dropping it
/// reports none.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: Option<u64>,
}

/// Reason why there is no permission.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) failures: u32,
    pub(crate) retry_in: Duration,
}

impl Breaker {
    /// Asks to call.
    pub(crate) fn enter(&self) -> Result<Pass<'_>, Refusal> {
        if self.failures.load(Ordering::Relaxed) < OPEN_AFTER {
            return Ok(Pass { breaker: self, probe: None });
        }
        let mut inner = self.lock();
        let probe = inner.probes + 1;
        let Some(open) = &mut inner.open else { return Ok(Pass { breaker: self, probe: None }) };
        let retry_in = open.retry_in();
        if open.probe.is_some() || retry_in > Duration::ZERO {
            return Err(Refusal { failures: self.failures.load(Ordering::Relaxed), retry_in });
        }
        open.probe = Some(probe);
        inner.probes = probe;
        Ok(Pass { breaker: self, probe: Some(probe) })
    }

    /// Its state now.
    pub(crate) fn state(&self) -> BreakerState {
        let inner = self.lock();
        let failures = self.failures.load(Ordering::Relaxed);
        match &inner.open {
            None => BreakerState::Closed { failures },
            Some(open) => BreakerState::Open { failures, retry_in: open.retry_in() },
        }
    }

    /// Notes a failure that no permission was asked for: within an answer that had begun.
    pub(crate) fn note_failure(&self) {
        self.failed(None);
    }

    fn failed(&self, probe: Option<u64>) {
        let mut inner = self.lock();
        let failures = self.failures.load(Ordering::Relaxed).saturating_add(1);
        self.failures.store(failures, Ordering::Relaxed);
        match &mut inner.open {
            None if failures >= OPEN_AFTER => {
                let pause = PROBE_AFTER_MIN;
                inner.open = Some(Open { probe_at: Instant::now() + pause, pause, probe: None });
            }
            // Calls that were under way when it opened tell nothing new.
            Some(open) if probe.is_some() && open.probe == probe => {
                let pause = (open.pause * 2).min(PROBE_AFTER_MAX);
                *open = Open { probe_at: Instant::now() + pause, pause, probe: None };
            }
            _ => {}
        }
    }

    fn answered(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            let mut inner = self.lock();
            inner.open = None;
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in the sections can leave the value half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn retry_in(&self) -> Duration {
        match self.probe {
            Some(_) => Duration::ZERO,
            None => self.probe_at.saturating_duration_since(Instant::now()),
        }
    }
}

impl Pass<'_> {
    /// Whether this is the one call that is let through.
    pub(crate) fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// The daemon answered.
    pub(crate) fn answered(self) {
        self.breaker.answered();
    }

    /// There was no connection, or no answer.
    pub(crate) fn failed(mut self) {
        self.breaker.failed(self.probe.take());
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let Some(probe) = self.probe else { return };
        // The next call may be let through in the place of the one that was given up.
        if let Some(open) =
            self.breaker.lock().open.as_mut().filter(|open| open.probe == Some(probe))
        {
            open.probe = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn opened() -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..OPEN_AFTER {
            breaker.enter().unwrap().failed();
        }
        breaker
    }

    fn retry_in(breaker: &Breaker) -> Duration {
        breaker.enter().unwrap_err().retry_in
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_not_after_as_many_with_answers_between() {
        let breaker = Breaker::default();
        for _ in 0..10 * OPEN_AFTER {
            for _ in 1..OPEN_AFTER {
                breaker.enter().unwrap().failed();
            }
            assert_eq!(breaker.state(), BreakerState::Closed { failures: OPEN_AFTER - 1 });
            breaker.enter().unwrap().answered();
            drop(breaker.enter().unwrap());
            assert_eq!(breaker.state(), BreakerState::Closed { failures: 0 });
        }
        assert_eq!(retry_in(&opened()), PROBE_AFTER_MIN);
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_at_a_time_is_let_through_ever_more_seldom() {
        let breaker = opened();
        let mut pause = PROBE_AFTER_MIN;
        for failures in OPEN_AFTER..OPEN_AFTER + 10 {
            assert_eq!(breaker.state(), BreakerState::Open { failures, retry_in: pause });
            advance(pause - Duration::from_millis(1)).await;
            assert_eq!(retry_in(&breaker), Duration::from_millis(1));
            advance(Duration::from_millis(1)).await;
            let probe = breaker.enter().unwrap();
            let refusal = Refusal { failures, retry_in: Duration::ZERO };
            assert_eq!(breaker.enter().unwrap_err(), refusal);
            probe.failed();
            pause = (pause * 2).min(PROBE_AFTER_MAX);
        }
        assert_eq!(pause, PROBE_AFTER_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn any_answer_closes_it_and_the_next_outage_starts_anew() {
        let breaker = opened();
        advance(PROBE_AFTER_MIN).await;
        breaker.enter().unwrap().failed();
        advance(2 * PROBE_AFTER_MIN).await;
        breaker.enter().unwrap().answered();
        assert_eq!(breaker.state(), BreakerState::Closed { failures: 0 });
        for _ in 0..OPEN_AFTER {
            breaker.enter().unwrap().failed();
        }
        assert_eq!(retry_in(&breaker), PROBE_AFTER_MIN);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_under_way_change_no_pause_but_close_it_with_an_answer() {
        let breaker = Breaker::default();
        let passes: Vec<_> = (0..10).map(|_| breaker.enter().unwrap()).collect();
        let mut passes = passes.into_iter();
        passes.by_ref().take(8).for_each(Pass::failed);
        assert_eq!(retry_in(&breaker), PROBE_AFTER_MIN);
        passes.next().unwrap().answered();
        assert_eq!(breaker.state(), BreakerState::Closed { failures: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_given_up_makes_room_for_the_next_one_only_while_it_is_the_one() {
        let breaker = opened();
        advance(PROBE_AFTER_MIN).await;
        let old = breaker.enter().unwrap();
        breaker.answered();
        for _ in 0..OPEN_AFTER {
            breaker.note_failure();
        }
        advance(PROBE_AFTER_MIN).await;
        let probe = breaker.enter().unwrap();
        drop(old);
        assert!(breaker.enter().is_err());
        drop(probe);
        assert!(breaker.enter().is_ok());
    }
}
