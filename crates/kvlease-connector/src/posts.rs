//! Posted puts: the caller goes on when the bytes are copied, and is told of the outcomes later.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kvlease_http::{Error, PutBody, PutOutcome};
use kvlease_lane::{LanePut, Post, PostObserver};
use kvlease_types::{ByteSize, Key};

use super::{Connector, backend::put_outcome, terms::Terms};

/// The most errors that wait for a flush. Those beyond are logged and counted.
pub const POST_ERRORS_MAX: usize = 1024;

/// Handle for posted puts, each of which returns when the bytes are copied. [`Self::flush`] tells of the
/// outcomes.
///
/// Small objects are posted, over the fast lane. All others are stored as by [`Connector::put`], whose
/// outcome is told by the flush as well. If the handle is dropped, errors that were not told are logged.
#[derive(Debug)]
pub struct Posts {
    connector: Connector,
    outcomes: Arc<Outcomes>,
    observer: Arc<dyn PostObserver>,
}

/// Outcomes of posted puts since the last report.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct PostReport {
    /// Objects that were stored.
    pub stored: u64,
    /// Keys that had an object.
    pub existed: u64,
    /// Puts that failed, in the order in which they were posted: [`POST_ERRORS_MAX`] at most.
    pub errors: Vec<(Key, Error)>,
    /// Puts that failed beyond those. Each was logged.
    pub more_errors: u64,
}

/// Outcomes that are to come, or to be told.
#[derive(Debug)]
struct Outcomes {
    terms: Arc<Terms>,
    /// Never locked while a lane is called.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the last put.
    last: u64,
    pending: BTreeMap<u64, Pending>,
    stored: u64,
    existed: u64,
    /// With the numbers of the puts.
    errors: Vec<(u64, Key, Error)>,
    more_errors: u64,
    /// There is no handle that tells of them any more.
    is_dropped: bool,
}

/// Put whose outcome is to come.
#[derive(Debug)]
struct Pending {
    key: Key,
    len: u64,
    /// It was posted: its answer comes by itself.
    is_sent: bool,
}

impl Connector {
    /// Handle for posted puts, which tells of their outcomes and of no others.
    pub fn posts(&self) -> Posts {
        let (terms, state) = (Arc::clone(&self.inner.terms), Mutex::default());
        let outcomes = Arc::new(Outcomes { terms, state });
        let observer = Arc::clone(&outcomes) as Arc<dyn PostObserver>;
        Posts { connector: self.clone(), outcomes, observer }
    }
}

impl Posts {
    /// Stores an object, unless the key has one, and returns when its bytes are copied. The object is
    /// visible after the next flush, and most often some microseconds later.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] and [`Error::Forked`]: nothing was started. All others are told by
    /// [`Self::flush`].
    pub async fn post(&self, key: &Key, body: impl Into<PutBody>) -> Result<(), Error> {
        self.connector.ensure_open()?;
        let body = body.into();
        let begun = self.outcomes.begin(key, body.len().unwrap_or(0));
        let post = Post { observer: &self.observer, number: begun.number };
        let posted = match body.in_memory() {
            Some(parts) => self.connector.inner.backends.post(key, parts, post).await,
            None => Ok(false),
        };
        match posted {
            Ok(true) => begun.sent(),
            Ok(false) => {
                let stored = self.connector.put_each(&mut [(key, body)]).await.pop();
                begun.answered(stored.expect("one answer for one object"));
            }
            Err(error) => begun.answered(self.outcomes.count(Err(error), 0)),
        }
        Ok(())
    }

    /// Waits for the outcomes of all puts that were posted before, at most as long as a call may take for
    /// each lane, and tells of all since the last flush. A put whose answer did not come has failed; it is
    /// not known whether its object is stored.
    pub async fn flush(&self) -> PostReport {
        let due = self.outcomes.sent();
        let timed_out = self.connector.inner.backends.flush_posted().await;
        self.outcomes.report(&due, timed_out)
    }
}

impl Drop for Posts {
    fn drop(&mut self) {
        let mut state = self.outcomes.lock();
        state.is_dropped = true;
        for (_, key, error) in state.take_errors() {
            log(&key, &error);
        }
    }
}

impl Outcomes {
    fn begin(&self, key: &Key, len: u64) -> Begun<'_> {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.pending.insert(number, Pending { key: key.clone(), len, is_sent: false });
        Begun { outcomes: self, number, is_over: false }
    }

    /// The puts whose answers are to come by themselves.
    fn sent(&self) -> Vec<u64> {
        let state = self.lock();
        let sent = state.pending.iter().filter(|(_, pending)| pending.is_sent);
        sent.map(|(number, _)| *number).collect()
    }

    /// Takes what is to be told. What is due and did not come has failed.
    fn report(&self, due: &[u64], timed_out: bool) -> PostReport {
        for number in due {
            self.end(*number, || Err(if timed_out { self.late() } else { self.unanswered() }));
        }
        let mut state = self.lock();
        let errors = state.take_errors().into_iter().map(|(_, key, error)| (key, error)).collect();
        PostReport {
            stored: std::mem::take(&mut state.stored),
            existed: std::mem::take(&mut state.existed),
            errors,
            more_errors: std::mem::take(&mut state.more_errors),
        }
    }

    /// Counts and keeps the outcome of a posted put, unless it has one.
    fn end(&self, number: u64, outcome: impl FnOnce() -> Result<PutOutcome, Error>) {
        let mut state = self.lock();
        if let Some(pending) = state.pending.remove(&number) {
            let outcome = self.count(outcome(), pending.len);
            state.keep(number, pending.key, outcome);
        }
    }

    fn count(&self, outcome: Result<PutOutcome, Error>, len: u64) -> Result<PutOutcome, Error> {
        self.terms.counters.put(outcome, Some(len))
    }

    /// The lane broke before the daemon answered.
    fn unanswered(&self) -> Error {
        let address = self.terms.config.client.address.clone();
        let source = io::ErrorKind::UnexpectedEof.into();
        Error::Broken { operation: "put", address, request_id: None, source }
    }

    /// The daemon did not answer in time.
    fn late(&self) -> Error {
        let client = &self.terms.config.client;
        let (limit, address) = (client.timeouts.call, client.address.clone());
        Error::TimedOut { operation: "put", request_id: None, limit, address }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PostObserver for Outcomes {
    fn settle(&self, number: u64, outcome: Option<LanePut>) {
        let mut state = self.lock();
        let Some(Pending { key, len, .. }) = state.pending.remove(&number) else { return };
        let outcome = outcome.map_or_else(
            || Err(self.unanswered()),
            |outcome| put_outcome(outcome, &key, ByteSize::new(len)),
        );
        let outcome = self.count(outcome, len);
        state.keep(number, key, outcome);
    }
}

impl State {
    fn keep(&mut self, number: u64, key: Key, outcome: Result<PutOutcome, Error>) {
        match outcome {
            Ok(PutOutcome::Stored) => self.stored += 1,
            Ok(PutOutcome::Exists) => self.existed += 1,
            Err(error) if self.is_dropped => log(&key, &error),
            Err(error) if self.errors.len() >= POST_ERRORS_MAX => {
                self.more_errors += 1;
                log(&key, &error);
            }
            Err(error) => self.errors.push((number, key, error)),
        }
    }

    /// Takes the errors, in the order in which the puts were posted.
    fn take_errors(&mut self) -> Vec<(u64, Key, Error)> {
        let mut errors = std::mem::take(&mut self.errors);
        errors.sort_unstable_by_key(|(number, ..)| *number);
        errors
    }
}

/// A put that has begun. If its call is cancelled, its caller asks for no outcome.
struct Begun<'o> {
    outcomes: &'o Outcomes,
    number: u64,
    is_over: bool,
}

impl Begun<'_> {
    /// The answer comes later, or has come meanwhile.
    fn sent(mut self) {
        self.is_over = true;
        if let Some(pending) = self.outcomes.lock().pending.get_mut(&self.number) {
            pending.is_sent = true;
        }
    }

    /// The outcome is known, and counted.
    fn answered(mut self, outcome: Result<PutOutcome, Error>) {
        self.is_over = true;
        let mut state = self.outcomes.lock();
        if let Some(pending) = state.pending.remove(&self.number) {
            state.keep(self.number, pending.key, outcome);
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.outcomes.lock().pending.remove(&self.number);
        }
    }
}

/// Logs an error that no flush tells of.
fn log(key: &Key, error: &Error) {
    tracing::warn!(%key, "a posted put failed, and no flush asked for it: {error}");
}
