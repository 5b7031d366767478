//! A bounded number of connections, kept for the next call.
//!
//! A call holds a permit for as long as it uses a connection. A connection comes back when its
//! reply was read to the end; one that is dropped before is closed, so that a cancelled call can
//! never leave half a reply to the next one. The mutex guards the idle list only and is never held
//! across an await.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Address, PutBody,
    connection::{Connection, SendError},
};

/// Connections to one daemon.
#[derive(Debug)]
pub(crate) struct Pool {
    address: Address,
    connect_max: Duration,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

/// A connection in use. [`Self::finish`] gives it back; dropping closes it.
#[derive(Debug)]
pub(crate) struct Busy {
    connection: Connection,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

/// Why a request has no response.
pub(crate) enum PoolError {
    /// No connection could be made.
    Unreachable(io::Error),
    /// The connection broke.
    Broken(hyper::Error),
}

impl Pool {
    /// A pool without connections yet.
    pub(crate) fn new(address: Address, connect_max: Duration, connections_max: usize) -> Self {
        let permits = Arc::new(Semaphore::new(connections_max.clamp(1, Semaphore::MAX_PERMITS)));
        Self { address, connect_max, permits, idle: Mutex::default() }
    }

    /// Sends a request over an idle or a new connection, after waiting for a permit.
    pub(crate) async fn send(
        self: &Arc<Self>,
        mut request: Request<PutBody>,
    ) -> Result<(Response<Incoming>, Busy), PoolError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("the pool never closes its semaphore");
        // An idle connection may have died unnoticed: each one is tried at most once.
        while let Some(mut connection) = self.take_idle() {
            match connection.send(request).await {
                Ok(response) => return Ok((response, self.busy(connection, permit))),
                Err(SendError::Broken(error)) => return Err(PoolError::Broken(error)),
                Err(SendError::Unsent(unsent)) => request = *unsent,
            }
        }
        let opened = Connection::open(&self.address, self.connect_max).await;
        let mut connection = opened.map_err(PoolError::Unreachable)?;
        match connection.send(request).await {
            Ok(response) => Ok((response, self.busy(connection, permit))),
            Err(SendError::Broken(error)) => Err(PoolError::Broken(error)),
            Err(SendError::Unsent(_)) => {
                Err(PoolError::Unreachable(io::ErrorKind::ConnectionReset.into()))
            }
        }
    }

    fn busy(self: &Arc<Self>, connection: Connection, permit: OwnedSemaphorePermit) -> Busy {
        Busy { connection, pool: Arc::clone(self), _permit: permit }
    }

    /// The idle connection that was used last: the least likely to have been closed meanwhile.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.lock_idle();
        std::iter::from_fn(|| idle.pop()).find(Connection::is_usable)
    }

    fn lock_idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Nothing in the sections can leave the list half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Busy {
    /// Gives the connection back. The reply must have been read to its end.
    pub(crate) fn finish(self) {
        if self.connection.is_usable() {
            // Never longer than the number of permits: this call still holds one.
            self.pool.lock_idle().push(self.connection);
        }
    }
}
