//! A bounded number of connections, kept for the next call, and whose turn it is to use one.
//!
//! A call waits for a permit and holds it for as long as it uses a connection, so that no more calls
//! are under way, and no more connections open, than there are permits. Calls that carry an object
//! get a part of the permits only: leases never wait behind transfers.
//!
//! A connection is checked in when its answer was read to the end; one that is dropped before is
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
    Address, ClientConfig,
    connection::{Connection, Fault},
    counters::{Counting, add_one},
    head::Head,
    operation::Operation,
    request::Request,
    socket::{ConnectFault, Socket},
    tls::{Tls, TlsFiles},
};

/// One permit of this many is kept from calls that carry an object.
const PERMITS_PER_KEPT: usize = 4;

/// Connections to one daemon.
#[derive(Debug)]
pub(crate) struct Pool {
    address: Address,
    tls: Tls,
    connect_max: Duration,
    put_piece_len: usize,
    stall_max: Duration,
    permits_max: usize,
    permits: Arc<Semaphore>,
    transfer_permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

/// Permit for one connection of the pool. Dropping it passes it to the next call.
#[derive(Debug)]
pub(crate) struct Permit {
    _any: OwnedSemaphorePermit,
    _transfer: Option<OwnedSemaphorePermit>,
}

/// Connection in use. [`Self::check_in`] returns it to the pool; dropping closes it.
#[derive(Debug)]
pub(crate) struct PooledConnection {
    pub(crate) connection: Connection,
    pool: Arc<Pool>,
    _permit: Permit,
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
        let permits =
            config.requests_max.min(config.connections_max).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            address: config.address.clone(),
            tls: Tls::new(TlsFiles::of(config)),
            connect_max: config.timeouts.connect,
            put_piece_len: config.put_piece_len.max(1),
            stall_max: config.timeouts.stall,
            permits_max: permits,
            permits: Arc::new(Semaphore::new(permits)),
            transfer_permits: Arc::new(Semaphore::new(permits - permits / PERMITS_PER_KEPT)),
            idle: Mutex::default(),
        }
    }

    /// How many calls may be under way at a time.
    pub(crate) fn permits_max(&self) -> usize {
        self.permits_max
    }

    /// A permit, if there is one at once.
    pub(crate) fn try_permit(&self, operation: Operation) -> Option<Permit> {
        let take = |permits: &Arc<Semaphore>| Arc::clone(permits).try_acquire_owned().ok();
        let transfer = match operation.is_transfer() {
            true => Some(take(&self.transfer_permits)?),
            false => None,
        };
        Some(Permit { _any: take(&self.permits)?, _transfer: transfer })
    }

    /// Waits for a permit. Permits go out in the order of the requests for them.
    pub(crate) async fn permit(&self, operation: Operation) -> Permit {
        const OPEN: &str = "the pool never closes its semaphores";
        let take = |permits: &Arc<Semaphore>| Arc::clone(permits).acquire_owned();
        let transfer = match operation.is_transfer() {
            true => Some(take(&self.transfer_permits).await.expect(OPEN)),
            false => None,
        };
        Permit { _any: take(&self.permits).await.expect(OPEN), _transfer: transfer }
    }

    /// Sends a request and reads the head of the answer. The caller holds a permit.
    ///
    /// An idle connection may have died unnoticed: another one takes what was not sent. What was
    /// sent without any answer is sent once more if [`Operation::may_repeat`] allows it, on a new
    /// connection, and counted.
    pub(crate) async fn exchange(
        &self,
        request: &mut Request,
        repeated: &AtomicU64,
    ) -> Result<(Head, Connection), PoolFault> {
        let stall = request.operation.is_transfer().then_some(self.stall_max);
        let mut may_repeat = request.operation.may_repeat();
        let mut idle = self.take_idle();
        loop {
            let is_fresh = idle.is_none();
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => self.connect().await.map_err(PoolFault::Connect)?,
            };
            match connection.exchange(request, self.put_piece_len, stall).await {
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
        // No more connections are in use than there are permits, not even for this moment.
        let Some(_permit) = self.try_permit(Operation::Release) else { return false };
        let Some(mut connection) = self.take_idle() else { return false };
        if connection.has_pending_response() {
            connection.try_drain();
        }
        if connection.has_pending_response() {
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
    pub(crate) fn drain_idle(&self) -> usize {
        let mut idle = self.lock_idle();
        idle.iter_mut().for_each(Connection::try_drain);
        idle.iter().filter(|connection| connection.has_pending_response()).count()
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

impl PooledConnection {
    /// Takes over a connection and the permit to use it.
    pub(crate) fn new(connection: Connection, pool: Arc<Pool>, permit: Permit) -> Self {
        Self { connection, pool, _permit: permit }
    }

    /// Returns the connection to the pool if another request may follow on it.
    pub(crate) fn check_in(self) {
        if self.connection.is_usable() {
            // Never longer than there are permits: this call still holds one.
            self.pool.lock_idle().push(self.connection);
        }
    }
}
