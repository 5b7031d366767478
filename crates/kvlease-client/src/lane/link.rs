//! What the guards of a connection's leases and reservations know of it, wherever it is.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kvlease_api::lane::IdsWriter;

/// How many ended leases go out at once at the latest.
const ENDED_MAX: usize = 1024;

/// How long an ended lease waits for others to go out with it.
const FLUSH_INTERVAL: Duration = Duration::from_millis(1);

/// The part of a connection that its guards share with it. Never locked while anything is waited
/// for.
#[derive(Debug)]
pub(super) struct Link {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Leases that have ended, and reservations that were given up: the daemon is to learn it.
    ended: Vec<u64>,
    given_up: Vec<u64>,
    /// Leases that have not ended.
    live: usize,
    flushed: Instant,
}

impl Link {
    pub(super) fn new() -> Self {
        let state =
            State { ended: Vec::new(), given_up: Vec::new(), live: 0, flushed: Instant::now() };
        Self { state: Mutex::new(state) }
    }

    /// A lease was granted.
    pub(super) fn begin_lease(&self) {
        self.lock().live += 1;
    }

    /// A lease has ended. Whether the daemon should learn it now: the last of a batch, many, or the
    /// first for a while.
    pub(super) fn end_lease(&self, sequence: u64) -> bool {
        let mut state = self.lock();
        state.ended.push(sequence);
        state.live -= 1;
        state.live == 0
            || state.ended.len() >= ENDED_MAX
            || state.flushed.elapsed() >= FLUSH_INTERVAL
    }

    /// A lease that nobody has a guard of.
    pub(super) fn end_unguarded(&self, sequence: u64) {
        self.lock().ended.push(sequence);
    }

    /// A reservation was given up, and nobody writes there any more.
    pub(super) fn give_up(&self, write: u64) {
        self.lock().given_up.push(write);
    }

    /// Appends the frames that tell the daemon what has ended. No answer comes to them.
    pub(super) fn write_ended(&self, out: &mut Vec<u8>) {
        let mut state = self.lock();
        state.flushed = Instant::now();
        let State { ended, given_up, .. } = &mut *state;
        drain(ended, out, |out| IdsWriter::release(out, 0, true));
        drain(given_up, out, |out| IdsWriter::abort(out, 0, true));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
