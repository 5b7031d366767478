//! The connections of a lane, and the calls that wait for one.
//!
//! A call holds a permit and a connection for as long as it runs: any connection, the last used
//! first, or the very one that its leases or reservations belong to. A caller that cannot get both is
//! queued and holds neither while it waits. A connection that is checked in goes, with its permit, to
//! the first waiter that can use it: so no waiter is overtaken for ever, and there are never more
//! connections than permits.
//!
//! Two locks, in this order: the state here, then a [`ConnectionState`]'s. Neither is held across an
//! await.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, PoisonError},
};

use super::{
    connection::Connection,
    connection_state::ConnectionState,
    sync::{Mutex, MutexGuard, oneshot},
};

/// How many callers wait before those that have given up are looked for.
const WAITERS_MIN: usize = 64;

/// Permits and connections of one lane.
#[derive(Debug)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Permits that no call holds. While there are any, no waiter could use one.
    permits: usize,
    /// Connections that no call uses, the last used last.
    idle: Vec<Connection>,
    waiters: VecDeque<Waiter>,
    /// At how many waiters the ones that have given up are looked for.
    sweep_at: usize,
}

/// A call in the queue.
#[derive(Debug)]
struct Waiter {
    /// The connection that it needs; any other is good without it.
    of: Option<Arc<ConnectionState>>,
    /// Dropped if the connection is closed.
    hand_over: oneshot::Sender<PooledConnection>,
}

/// A permit, and the connection to use. Both are checked in when this is dropped, unless the
/// connection is of no more use.
#[derive(Debug)]
pub(super) struct PooledConnection {
    connection: Option<Connection>,
    pool: Arc<Pool>,
}

impl Pool {
    /// At most `permits` connections, of which there is one already.
    pub(super) fn new(permits: usize, first: Connection) -> Self {
        let (idle, waiters) = (vec![first], VecDeque::new());
        Self { state: Mutex::new(State { permits, idle, waiters, sweep_at: WAITERS_MIN }) }
    }

    /// A permit with a connection: the one of this state, or the one that was used last. Without a
    /// state it may lack a connection, if all are in use, and then another one may be made. `None`
    /// if the connection of the state is closed.
    pub(super) async fn check_out(
        self: &Arc<Self>,
        of: Option<&Arc<ConnectionState>>,
    ) -> Option<PooledConnection> {
        let handed_over = {
            let mut state = self.lock();
            if let Some(connection) = state.take(of) {
                return Some(PooledConnection { connection, pool: Arc::clone(self) });
            }
            if of.is_some_and(|of| of.is_closed()) {
                return None;
            }
            state.enqueue(of.cloned())
        };
        // Given up at the very moment that it was handed over, the permit is checked in by itself.
        handed_over.await.ok()
    }

    /// Sends the releases of this connection, if it is idle; otherwise the call that uses it does
    /// when it checks it in.
    pub(super) fn flush(&self, of: &Arc<ConnectionState>) {
        let mut state = self.lock();
        if let Some(place) = state.place_of(of)
            && !state.idle[place].flush()
        {
            let torn = state.idle.remove(place);
            drop(state);
            drop(torn);
            self.wake_waiters();
        }
    }

    /// Takes the answers that have come on this connection to calls that were given up, if it is idle.
    /// Returns whether more are to come.
    pub(super) fn take_late(&self, of: &Arc<ConnectionState>) -> bool {
        self.flush(of);
        let mut state = self.lock();
        match state.place_of(of) {
            Some(place) => state.idle[place].awaits_late(),
            None => !of.is_closed(),
        }
    }

    /// Sends the releases of all connections that are idle.
    pub(super) fn flush_all(&self) {
        let torn: Vec<_> = self.lock().idle.extract_if(.., |idle| !idle.flush()).collect();
        if !torn.is_empty() {
            drop(torn);
            self.wake_waiters();
        }
    }

    fn check_in(self: &Arc<Self>, connection: Connection) {
        let of = Arc::clone(&connection.state);
        let mut state = self.lock();
        state.idle.push(connection);
        self.return_permit(state);
        // Asked after the check-in: a lease that ends from now on finds the connection idle, or in
        // the hands of a call that comes by here as well.
        if of.is_flush_due() {
            self.flush(&of);
        }
    }

    /// Hands over what has become free, each time outside of the lock.
    fn return_permit<'s>(self: &'s Arc<Self>, mut state: MutexGuard<'s, State>) {
        state.permits += 1;
        while let Some((Waiter { hand_over, .. }, connection)) = state.next() {
            drop(state);
            // Refused by a waiter that gave up just now, it is checked in again.
            drop(hand_over.send(PooledConnection { connection, pool: Arc::clone(self) }));
            state = self.lock();
        }
    }

    /// Wakes the waiters whose connection was closed: they get none.
    fn wake_waiters(&self) {
        let mut state = self.lock();
        let waiters = mem::take(&mut state.waiters).into_iter();
        let (futile, waiters): (VecDeque<_>, _) = waiters.partition(Waiter::is_futile);
        state.waiters = waiters;
        drop(state);
        drop(futile);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can leave the lists half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a permit and its connection, if both are there; any permit may come without one.
    fn take(&mut self, of: Option<&Arc<ConnectionState>>) -> Option<Option<Connection>> {
        if self.permits == 0 {
            return None;
        }
        let connection = match of {
            Some(of) => Some(self.idle.remove(self.place_of(of)?)),
            None => self.idle.pop(),
        };
        self.permits -= 1;
        Some(connection)
    }

    fn enqueue(&mut self, of: Option<Arc<ConnectionState>>) -> oneshot::Receiver<PooledConnection> {
        if self.waiters.len() >= self.sweep_at {
            self.waiters.retain(|waiter| !waiter.hand_over.is_closed());
            self.sweep_at = WAITERS_MIN.max(2 * self.waiters.len());
        }
        let (hand_over, handed_over) = oneshot::channel();
        self.waiters.push_back(Waiter { of, hand_over });
        handed_over
    }

    /// Takes the first waiter that can go on out of the queue, with its connection.
    fn next(&mut self) -> Option<(Waiter, Option<Connection>)> {
        let mut place = 0;
        while self.permits > 0 && place < self.waiters.len() {
            let Waiter { of, hand_over } = &self.waiters[place];
            let (of, gave_up) = (of.clone(), hand_over.is_closed());
            if gave_up {
                self.waiters.remove(place);
            } else if let Some(connection) = self.take(of.as_ref()) {
                return self.waiters.remove(place).map(|first| (first, connection));
            } else {
                place += 1;
            }
        }
        None
    }

    fn place_of(&self, of: &Arc<ConnectionState>) -> Option<usize> {
        self.idle.iter().position(|idle| Arc::ptr_eq(&idle.state, of))
    }
}

impl Waiter {
    /// Whether its connection is closed.
    fn is_futile(&self) -> bool {
        self.of.as_ref().is_some_and(|of| of.is_closed())
    }
}

impl PooledConnection {
    /// Whether a connection has to be made first.
    pub(super) fn lacks_connection(&self) -> bool {
        self.connection.is_none()
    }

    /// Takes over the connection that was made.
    pub(super) fn set_connection(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("present until this is dropped")
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        match self.connection.take() {
            Some(connection) if connection.is_usable() => self.pool.check_in(connection),
            torn => {
                // Closed before its waiters are woken.
                drop(torn);
                self.pool.wake_waiters();
                self.pool.return_permit(self.pool.lock());
            }
        }
    }
}
