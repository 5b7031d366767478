//! State shared between a connection and the guards that it granted.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use kvlease_api::lane::IdsWriter;
use rustix::time::{ClockId, clock_gettime};

use super::{
    renewals::Renewals,
    sync::{Mutex, MutexGuard},
};

/// How many ended leases go out at once at the latest.
const ENDED_MAX: usize = 1024;

/// How long an ended lease waits for others to go out with it, give or take a tick of the kernel.
const FLUSH_INTERVAL: Duration = Duration::from_millis(1);

/// The part of a connection that its guards share with it. Never locked while anything is waited
/// for.
#[derive(Debug)]
pub(super) struct ConnectionState {
    state: Mutex<State>,
    pub(super) renewals: Arc<Renewals>,
}

#[derive(Debug)]
struct State {
    /// Ended leases, and given up reservations, that are to be sent.
    ended: Vec<u64>,
    given_up: Vec<u64>,
    /// Leases that have not ended.
    live: usize,
    /// Whether they are to be sent now.
    flush_due: bool,
    /// When ended leases were sent last.
    flushed: Duration,
    /// The connection is no more.
    closed: bool,
}

impl ConnectionState {
    pub(super) fn new() -> Self {
        let (ended, given_up, flushed) = (Vec::new(), Vec::new(), coarse_now());
        let state = State { ended, given_up, live: 0, flush_due: false, flushed, closed: false };
        Self { state: Mutex::new(state), renewals: Arc::default() }
    }

    /// The connection is no more: what belonged to it is the daemon's to end.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Counts leases that were granted.
    pub(super) fn begin_leases(&self, count: usize) {
        self.lock().live += count;
    }

    /// Ends a lease. Whether it is to be sent now: the last of a batch, many, or the first for a
    /// while.
    pub(super) fn end_lease(&self, sequence: u64) -> bool {
        let mut state = self.lock();
        state.ended.push(sequence);
        state.live -= 1;
        state.flush_due |= state.live == 0
            || state.ended.len() >= ENDED_MAX
            || coarse_now().saturating_sub(state.flushed) >= FLUSH_INTERVAL;
        state.flush_due
    }

    /// Ends a lease that has no guard.
    pub(super) fn end_unguarded(&self, sequence: u64) {
        let mut state = self.lock();
        state.ended.push(sequence);
        state.flush_due = true;
    }

    /// Gives up a reservation, which nothing is written to any more.
    pub(super) fn give_up(&self, write: u64) {
        let mut state = self.lock();
        state.given_up.push(write);
        state.flush_due = true;
    }

    /// Whether ended leases are to be sent now, and were not sent yet.
    pub(super) fn is_flush_due(&self) -> bool {
        self.lock().flush_due
    }

    /// Appends the frames that end leases and reservations. No answer comes to them.
    pub(super) fn write_ended(&self, out: &mut Vec<u8>) {
        let mut state = self.lock();
        (state.flush_due, state.flushed) = (false, coarse_now());
        let State { ended, given_up, .. } = &mut *state;
        drain(ended, out, |out| IdsWriter::release(out, 0, true));
        drain(given_up, out, |out| IdsWriter::abort(out, 0, true));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time since some moment, as of the last tick: a tenth of the price of the exact time, which
/// would be most of the price of ending a lease.
fn coarse_now() -> Duration {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.try_into().unwrap_or_default()
}

/// Writes as many frames as the names need.
fn drain(
    ids: &mut Vec<u64>,
    out: &mut Vec<u8>,
    begin: impl for<'o> Fn(&'o mut Vec<u8>) -> IdsWriter<'o>,
) {
    while !ids.is_empty() {
        let mut frame = begin(out);
        while let Some(id) = ids.pop() {
            if frame.push(id).is_err() {
                ids.push(id);
                break;
            }
        }
        frame.finish();
    }
}
