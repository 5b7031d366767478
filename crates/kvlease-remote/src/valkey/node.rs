//! Server with the connections to it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use redis::{AsyncConnectionConfig, Cmd, RedisError, Value};

use super::{access::Access, answer::QueryError, link::Link, sender::Sender, set::Set};
use crate::location::Server;

/// Connections for transfers, and as many for large values.
const TRANSFER_LINKS: usize = 4;

/// Length of a value from which it is sent from where it is. Shorter ones share a connection: they go out one
/// behind the other, without waiting for the answers in between.
const SENT_IN_PARTS: usize = 256 << 10;

/// Bytes of commands that are collected before they are written to the socket.
const WRITE_LEN: usize = 1 << 20;

/// Purpose of a call. Look-ups do not queue behind large values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    LookUp,
    Transfer,
}

/// Call on one name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call<'a> {
    Query(Purpose, &'a Cmd),
    Store(&'a Set),
}

/// Server with the connections to it.
#[derive(Debug)]
pub(super) struct Node {
    server: Server,
    look_ups: Arc<Link>,
    transfers: Vec<Arc<Link>>,
    next: AtomicUsize,
    large_values: Sender,
}

impl Node {
    /// A server, not connected yet.
    pub(super) fn new(access: &Access, server: Server) -> Result<Self, RedisError> {
        let client = access.client(&server)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(access.connect_timeout))
            .set_response_timeout(Some(access.call_timeout))
            .set_write_backpressure_boundary(WRITE_LEN);
        let link = || Arc::new(Link::new(server.clone(), client.clone(), config.clone()));
        let look_ups = link();
        let transfers: Vec<_> = (0..TRANSFER_LINKS).map(|_| link()).collect();
        let link = Arc::clone(&transfers[0]);
        let large_values = Sender::new(server.clone(), access.clone(), TRANSFER_LINKS, link);
        Ok(Self { server, look_ups, transfers, next: AtomicUsize::new(0), large_values })
    }

    /// The address.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Makes a call. `asking` is for a slot on its way to this server.
    pub(super) async fn call(&self, call: Call<'_>, asking: bool) -> Result<Value, QueryError> {
        match call {
            Call::Query(purpose, command) => self.query(purpose, command, asking).await,
            Call::Store(set) if set.len() < SENT_IN_PARTS => {
                self.query(Purpose::Transfer, &set.command(), asking).await
            }
            Call::Store(set) => self.large_values.send(set, asking).await,
        }
    }

    /// Sends a command and waits for the answer.
    pub(super) async fn query(
        &self,
        purpose: Purpose,
        command: &Cmd,
        asking: bool,
    ) -> Result<Value, QueryError> {
        let link = match purpose {
            Purpose::LookUp => &self.look_ups,
            Purpose::Transfer => {
                let turn = self.next.fetch_add(1, Ordering::Relaxed);
                &self.transfers[turn % TRANSFER_LINKS]
            }
        };
        link.query(command, asking).await
    }
}
