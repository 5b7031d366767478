//! A bounded number of connections, kept for the next call, and whose turn it is to use one.
//!
//! A call waits for its turn and has it for as long as it uses a connection, so that no more calls
//! are under way, and no more connections open, than there are turns. Calls that carry an object
//! have a part of the turns only: leases never wait behind transfers.
//!
//! A connection comes back when its answer was read to the end; one that is dropped before is
//! closed, so that a cancelled call can never leave half an answer to the next one. The mutex
//! guards the idle list only and is never held across an await.

use std::{
    io, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    Address, Client, ClientConfig,
    connection::{Connection, Fault},
    counters::{Counting, add_one},
    head::Head,
    operation::Operation,
    request::Request,
    socket::{ConnectFault, Socket},
    tls::Tls,
};

/// One turn of this many is kept from calls that carry an object.
const TURNS_PER_KEPT: usize = 4;

/// Connections to one daemon.
#[derive(Debug)]
pub(crate) struct Pool {
    address: Address,
    tls: Tls,
    connect_max: Duration,
    put_piece_len: usize,
    turns_max: usize,
    turns: Arc<Semaphore>,
    transfer_turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

/// The right to use one connection. Dropping it lets the next call have it.
#[derive(Debug)]
pub(crate) struct Turn {
    _any: OwnedSemaphorePermit,
    _transfer: Option<OwnedSemaphorePermit>,
}

/// A connection in use. [`Self::finish`] gives it back; dropping closes it.
#[derive(Debug)]
pub(crate) struct Busy {
    pub(crate) connection: Connection,
    client: Client,
    _turn: Turn,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum PoolFault {
    Connect(ConnectFault),
    Exchange(Fault),
}

impl Pool {
    /// A pool without connections.
    pub(crate) fn new(config: &ClientConfig) -> Self {
        // A call under way has a connection of its own: the smaller limit is the limit of both.
        let turns =
            config.requests_max.min(config.connections_max).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            address: config.address.clone(),
            tls: Tls::new(config.tls_ca_file.clone()),
            connect_max: config.timeouts.connect,
            put_piece_len: config.put_piece_len.max(1),
            turns_max: turns,
            turns: Arc::new(Semaphore::new(turns)),
            transfer_turns: Arc::new(Semaphore::new(turns - turns / TURNS_PER_KEPT)),
            idle: Mutex::default(),
        }
    }

    /// How many calls may be under way at a time.
    pub(crate) fn turns_max(&self) -> usize {
        self.turns_max
    }

    /// A turn, if there is one at once.
    pub(crate) fn try_turn(&self, operation: Operation) -> Option<Turn> {
        let take = |turns: &Arc<Semaphore>| Arc::clone(turns).try_acquire_owned().ok();
        let transfer = match operation.is_transfer() {
            true => Some(take(&self.transfer_turns)?),
            false => None,
        };
        Some(Turn { _any: take(&self.turns)?, _transfer: transfer })
    }

    /// Waits for a turn. Turns are had in the order of asking.
    pub(crate) async fn turn(&self, operation: Operation) -> Turn {
        const OPEN: &str = "the pool never closes its semaphores";
        let take = |turns: &Arc<Semaphore>| Arc::clone(turns).acquire_owned();
        let transfer = match operation.is_transfer() {
            true => Some(take(&self.transfer_turns).await.expect(OPEN)),
            false => None,
        };
        Turn { _any: take(&self.turns).await.expect(OPEN), _transfer: transfer }
    }

    /// Sends a request and reads the head of the answer. The caller has a turn.
    ///
    /// An idle connection may have died unnoticed: another one takes what was not sent. What was
    /// sent without any answer is sent once more if [`Operation::may_repeat`] allows it, on a new
    /// connection, and counted.
    pub(crate) async fn exchange(
        &self,
        request: &mut Request,
        repeated: &AtomicU64,
    ) -> Result<(Head, Connection), PoolFault> {
        let mut may_repeat = request.operation.may_repeat();
        let mut idle = self.take_idle();
        loop {
            let is_fresh = idle.is_none();
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => self.connect().await.map_err(PoolFault::Connect)?,
            };
            match connection.exchange(request, self.put_piece_len).await {
                Ok(head) => return Ok((head, connection)),
                Err(Fault::Unsent(_)) if !is_fresh => idle = self.take_idle(),
                Err(Fault::Unsent(error)) => {
                    return Err(PoolFault::Connect(ConnectFault::Unreachable(error)));
                }
                Err(Fault::Unanswered(_)) if may_repeat => {
                    may_repeat = false;
                    add_one(repeated);
                    // The daemon has closed one, most likely to start anew: the others are no
                    // better.
                    self.close_idle();
                }
                Err(fault) => return Err(PoolFault::Exchange(fault)),
            }
        }
    }

    async fn connect(&self) -> Result<Connection, ConnectFault> {
        let Some(deadline) = Instant::now().checked_add(self.connect_max) else {
            return Err(ConnectFault::Unreachable(io::ErrorKind::InvalidInput.into()));
        };
        Socket::connect(&self.address, &self.tls, deadline).await.map(Connection::new)
    }

    /// The idle connection that was used last: the least likely to have been closed meanwhile.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.lock_idle();
        std::iter::from_fn(|| idle.pop()).find(Connection::is_usable)
    }

    /// Sends a request without a body on an idle connection; its answer is read before the next
    /// request there. `false` if there is none.
    pub(crate) fn send_unawaited(&self, request: &str, counting: &Arc<Counting>) -> bool {
        // No more connections are in use than there are turns, not even for this moment.
        let Some(_turn) = self.try_turn(Operation::Release) else { return false };
        let Some(mut connection) = self.take_idle() else { return false };
        if connection.owed.is_some() {
            connection.try_settle();
        }
        if connection.owed.is_some() {
            self.lock_idle().push(connection);
            return false;
        }
        let sent = connection.is_usable() && connection.send_unawaited(request, counting);
        if sent {
            self.lock_idle().push(connection);
        }
        sent
    }

    /// Reads the answers to unawaited requests that have arrived; how many are still to come.
    pub(crate) fn settle_idle(&self) -> usize {
        let mut idle = self.lock_idle();
        idle.iter_mut().for_each(Connection::try_settle);
        idle.iter().filter(|connection| connection.owed.is_some()).count()
    }

    /// Closes the connections that no call uses, outside of the lock.
    pub(crate) fn close_idle(&self) {
        let idle = mem::take(&mut *self.lock_idle());
        drop(idle);
    }

    fn lock_idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Nothing in the sections can leave the list half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Busy {
    /// Takes over a connection and the turn to use it.
    pub(crate) fn new(connection: Connection, client: Client, turn: Turn) -> Self {
        Self { connection, client, _turn: turn }
    }

    /// Gives the connection back if another request may follow on it.
    pub(crate) fn finish(self) {
        if self.connection.is_usable() {
            // Never longer than there are turns: this call still has one.
            self.client.shared.pool.lock_idle().push(self.connection);
        }
    }
}
