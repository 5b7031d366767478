//! Whose turn it is to use a connection, and which.
//!
//! A call has a turn and a connection for as long as it runs: any one, the last used first, or the
//! very one that its leases or reservations belong to. Who cannot have both at once waits in a
//! queue and meanwhile has neither. A connection that comes back is handed, with the turn, to the
//! first in the queue who can use it: so nobody is overtaken for ever, and there are never more
//! connections than turns.
//!
//! Two locks, in this order: the state here, then a [`Link`]'s. Neither is held across an await.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, PoisonError},
};

use super::{
    connection::Connection,
    link::Link,
    oneshot,
    sync::{Mutex, MutexGuard},
};

/// How many wait before those that have given up are looked for.
const WAITING_MIN: usize = 64;

/// The turns and the connections of one lane.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Turns that nobody has. While there are any, nobody waits who could use one.
    free: usize,
    /// Connections that nobody has, the last used last.
    idle: Vec<Connection>,
    waiting: VecDeque<Waiting>,
    /// At how many the ones that have given up are looked for.
    forget_at: usize,
}

/// Somebody who waits.
#[derive(Debug)]
struct Waiting {
    /// Whose connection it has to be; any is good without it.
    link: Option<Arc<Link>>,
    /// Dropped if there will be none.
    tell: oneshot::Sender<Busy>,
}

/// A turn, and the connection to use. Both come back when this is dropped, unless the connection is
/// of no more use.
#[derive(Debug)]
pub(super) struct Busy {
    connection: Option<Connection>,
    turns: Arc<Turns>,
}

impl Turns {
    /// At most `turns` connections, of which there is one already.
    pub(super) fn new(turns: usize, first: Connection) -> Self {
        let (idle, waiting) = (vec![first], VecDeque::new());
        Self { state: Mutex::new(State { free: turns, idle, waiting, forget_at: WAITING_MIN }) }
    }

    /// A turn with the connection that was used last; without one if all are in use, and then
    /// another one may be made.
    pub(super) async fn any(self: &Arc<Self>) -> Busy {
        let busy = self.wait(None).await;
        busy.expect("only who waits for a certain connection can wait in vain")
    }

    /// A turn with this connection; `None` if it is closed.
    pub(super) async fn on(self: &Arc<Self>, link: &Arc<Link>) -> Option<Busy> {
        self.wait(Some(link)).await
    }

    async fn wait(self: &Arc<Self>, link: Option<&Arc<Link>>) -> Option<Busy> {
        let told = {
            let mut state = self.lock();
            if let Some(connection) = state.take(link) {
                let turns = Arc::clone(self);
                return Some(Busy { connection, turns });
            }
            if link.is_some_and(|link| link.is_closed()) {
                return None;
            }
            state.enqueue(link.cloned())
        };
        // Given up at the very moment that it was handed over, the turn comes back by itself.
        told.await.ok()
    }

    /// Tells the daemon what has ended on this connection, if it is idle; otherwise whoever uses it
    /// does when it comes back.
    pub(super) fn flush(&self, link: &Arc<Link>) {
        let mut state = self.lock();
        if let Some(place) = state.place_of(link)
            && !state.idle[place].flush()
        {
            let torn = state.idle.remove(place);
            drop(state);
            drop(torn);
            self.dismiss();
        }
    }

    /// Tells the daemon what has ended on all connections that are idle.
    pub(super) fn flush_all(&self) {
        let torn: Vec<_> = self.lock().idle.extract_if(.., |idle| !idle.flush()).collect();
        if !torn.is_empty() {
            drop(torn);
            self.dismiss();
        }
    }

    fn come_back(self: &Arc<Self>, connection: Connection) {
        let link = Arc::clone(&connection.link);
        let mut state = self.lock();
        state.idle.push(connection);
        self.end_turn(state);
        // Asked after it came back: what ends from now on finds it idle, or in the hands of
        // somebody who comes by here as well.
        if link.is_flush_due() {
            self.flush(&link);
        }
    }

    /// Hands over what has become free, each time outside of the lock.
    fn end_turn<'s>(self: &'s Arc<Self>, mut state: MutexGuard<'s, State>) {
        state.free += 1;
        while let Some((Waiting { tell, .. }, connection)) = state.next() {
            drop(state);
            // Refused by somebody who gave up just now, it comes back.
            drop(tell.send(Busy { connection, turns: Arc::clone(self) }));
            state = self.lock();
        }
    }

    /// Tells those who wait for a connection that was closed.
    fn dismiss(&self) {
        let mut state = self.lock();
        let waiting = mem::take(&mut state.waiting).into_iter();
        let (in_vain, waiting): (VecDeque<_>, _) = waiting.partition(Waiting::is_in_vain);
        state.waiting = waiting;
        drop(state);
        drop(in_vain);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can leave the lists half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a turn and its connection, if both are there; any turn may come without one.
    fn take(&mut self, link: Option<&Arc<Link>>) -> Option<Option<Connection>> {
        if self.free == 0 {
            return None;
        }
        let connection = match link {
            Some(link) => Some(self.idle.remove(self.place_of(link)?)),
            None => self.idle.pop(),
        };
        self.free -= 1;
        Some(connection)
    }

    fn enqueue(&mut self, link: Option<Arc<Link>>) -> oneshot::Receiver<Busy> {
        if self.waiting.len() >= self.forget_at {
            self.waiting.retain(|waiting| !waiting.tell.is_closed());
            self.forget_at = WAITING_MIN.max(2 * self.waiting.len());
        }
        let (tell, told) = oneshot::channel();
        self.waiting.push_back(Waiting { link, tell });
        told
    }

    /// Takes the first out of the queue who can go on, with what it goes on with.
    fn next(&mut self) -> Option<(Waiting, Option<Connection>)> {
        let mut place = 0;
        while self.free > 0 && place < self.waiting.len() {
            let Waiting { link, tell } = &self.waiting[place];
            let (link, gave_up) = (link.clone(), tell.is_closed());
            if gave_up {
                self.waiting.remove(place);
            } else if let Some(connection) = self.take(link.as_ref()) {
                return self.waiting.remove(place).map(|first| (first, connection));
            } else {
                place += 1;
            }
        }
        None
    }

    fn place_of(&self, link: &Arc<Link>) -> Option<usize> {
        self.idle.iter().position(|idle| Arc::ptr_eq(&idle.link, link))
    }
}

impl Waiting {
    fn is_in_vain(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_closed())
    }
}

impl Busy {
    /// Whether a connection has to be made first.
    pub(super) fn lacks_connection(&self) -> bool {
        self.connection.is_none()
    }

    /// The connection that was made.
    pub(super) fn set_connection(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it is there until this is dropped")
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        match self.connection.take() {
            Some(connection) if connection.is_usable() => self.turns.come_back(connection),
            torn => {
                // Closed before anybody is told.
                drop(torn);
                self.turns.dismiss();
                self.turns.end_turn(self.turns.lock());
            }
        }
    }
}
