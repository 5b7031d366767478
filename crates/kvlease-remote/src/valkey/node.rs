//! Server with the connections to it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use redis::{AsyncConnectionConfig, Cmd, RedisError, Value};

use super::{
    access::Access,
    answer::{Answer, QueryError},
    call::{Call, Purpose},
    link::Link,
    streams::Streams,
};
use crate::location::Server;

/// Connections for transfers, and as many for large values each way. So a load waits behind no store.
const TRANSFER_LINKS: usize = 4;

/// Length of a value from which it is large: it has a connection to itself, and is not copied on the way. Shorter
/// ones share a connection: they go one behind the other, without waiting for the answers in between.
const LARGE_LEN: usize = 256 << 10;

/// Bytes of commands that are collected before they are written to the socket.
const WRITE_LEN: usize = 1 << 20;

/// Server with the connections to it.
#[derive(Debug)]
pub(super) struct Node {
    server: Server,
    look_ups: Arc<Link>,
    transfers: Vec<Arc<Link>>,
    next: AtomicUsize,
    large_stores: Streams,
    large_fetches: Streams,
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
        let large_values = || {
            let link = Arc::clone(&transfers[0]);
            Streams::new(server.clone(), access.clone(), TRANSFER_LINKS, link)
        };
        let (large_stores, large_fetches) = (large_values(), large_values());
        let next = AtomicUsize::new(0);
        Ok(Self { server, look_ups, transfers, next, large_stores, large_fetches })
    }

    /// The address.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Makes a call. `asking` is for a slot on its way to this server.
    pub(super) async fn call(&self, call: Call<'_>, asking: bool) -> Result<Answer, QueryError> {
        let (purpose, command) = match call {
            Call::Query(purpose, command) => (purpose, command),
            Call::Store(set) if set.len() < LARGE_LEN => (Purpose::Transfer, &set.command()),
            Call::Fetch(purpose, fetch) if fetch.len() < LARGE_LEN => (purpose, &fetch.command()),
            Call::Store(_) => return self.large_stores.call(call, asking).await,
            Call::Fetch(..) => return self.large_fetches.call(call, asking).await,
        };
        self.query(purpose, command, asking).await.map(Answer::Value)
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
