//! Hub between the collector and the subscribers.

use std::{
    sync::{Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use kvlease_types::ByteSize;
use tokio::sync::watch;

use super::{
    event::Event,
    log::{EventLog, Missed},
};

/// Memory of the log of events, unless it is configured.
pub const EVENTS_MEMORY_DEFAULT: ByteSize = ByteSize::mib(8);

/// The most subscribers at the same time.
pub const SUBSCRIBERS_MAX: usize = 64;

/// How long events are collected without a subscriber, so that one that connects again misses nothing.
const LINGER: Duration = Duration::from_secs(60);

const POISONED: &str = "a panic ends the process, so no thread meets a poisoned lock";

/// Log, subscribers and the signal to the collector. No request locks it.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
    /// Told when there is work for the collector, or it has to stop.
    needed: Condvar,
    /// Told when there is something to read.
    news: watch::Sender<()>,
    memory_max: usize,
}

#[derive(Default, Debug)]
struct State {
    /// `None` while no event is collected.
    log: Option<EventLog>,
    subscribers: usize,
    /// When the last subscriber left.
    idle_since: Option<Instant>,
    /// Whether subscriptions end once they have read what there is.
    closed: bool,
    /// Whether the collector has to stop.
    stopped: bool,
}

impl Hub {
    pub(crate) fn new(memory_max: ByteSize) -> Self {
        let memory_max = usize::try_from(memory_max.bytes()).unwrap_or(usize::MAX);
        let news = watch::Sender::new(());
        Self { state: Mutex::default(), needed: Condvar::new(), news, memory_max }
    }

    /// Counts a subscriber in. `oldest` tells the oldest change that the collector can still get, which is
    /// where a new log begins. Returns false if there are too many, or the hub is closed.
    pub(super) fn join(&self, oldest: impl FnOnce() -> u64) -> bool {
        let mut state = self.lock();
        if state.closed || state.subscribers >= SUBSCRIBERS_MAX {
            return false;
        }
        state.subscribers += 1;
        state.idle_since = None;
        if state.log.is_none() {
            state.log = Some(EventLog::starting_at(oldest(), self.memory_max));
            self.needed.notify_one();
        }
        true
    }

    /// Counts a subscriber out.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.subscribers -= 1;
        if state.subscribers == 0 {
            state.idle_since = Some(Instant::now());
        }
    }

    /// Ends all subscriptions once they have read what there is. No new one is made.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.news.send_replace(());
    }

    /// Makes the collector stop.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.needed.notify_one();
    }

    /// Waits until events are to be collected. Returns false if the collector has to stop.
    pub(super) fn wait_until_needed(&self) -> bool {
        let waiting = |state: &mut State| !state.stopped && state.log.is_none();
        let state = self.needed.wait_while(self.lock(), waiting).expect(POISONED);
        !state.stopped
    }

    /// Number of the change to collect next; `None` if no more events are to be collected.
    pub(super) fn next_to_collect(&self) -> Option<u64> {
        let mut state = self.lock();
        if state.idle_since.is_some_and(|since| since.elapsed() >= LINGER) {
            (state.log, state.idle_since) = (None, None);
        }
        state.log.as_ref().filter(|_| !state.stopped).map(EventLog::next)
    }

    /// Appends events of the changes before `next`, and tells the subscribers.
    pub(super) fn append(&self, events: Vec<Event>, next: u64) {
        if let Some(log) = &mut self.lock().log {
            log.append(events, next);
        }
        self.news.send_replace(());
    }

    /// Notes that the changes before `next` were missed, and tells the subscribers.
    pub(super) fn restart(&self, next: u64) {
        if let Some(log) = &mut self.lock().log {
            log.restart(next);
        }
        self.news.send_replace(());
    }

    /// At most `max` events from number `from` on, and the number to read on from; `None` if the hub is
    /// closed and there are no more.
    pub(super) fn read(&self, from: u64, max: usize) -> Result<Option<(Vec<Event>, u64)>, Missed> {
        let state = self.lock();
        let log = state.log.as_ref().ok_or(Missed)?;
        let (events, next) = log.read(from, max)?;
        Ok((!events.is_empty() || !state.closed).then_some((events, next)))
    }

    /// Whether a reader can go on from this number.
    pub(super) fn has(&self, from: u64) -> bool {
        self.lock().log.as_ref().is_some_and(|log| log.read(from, 0).is_ok())
    }

    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Number of subscribers.
    pub(crate) fn subscribers(&self) -> usize {
        self.lock().subscribers
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(POISONED)
    }
}
