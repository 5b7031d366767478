//! Connection to a server, opened on demand and again after it broke.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, Value, aio::MultiplexedConnection};
use tokio::time;

use super::answer::QueryError;
use crate::location::Server;

/// Time between two attempts to reach a server that is silent.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Commands sent for one call: a connection that broke while it was idle is noticed by the first.
const ATTEMPTS: usize = 2;

/// Connection to a server. Many calls share it: their commands go out one behind the other, without
/// waiting for the answers in between.
pub(super) struct Link {
    server: Server,
    client: Client,
    config: AsyncConnectionConfig,
    state: Mutex<State>,
    /// Held by the call that opens the connection.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    open: Option<MultiplexedConnection>,
    /// Number of the connection that is or was open last.
    number: u64,
    /// The reason why the server counts as silent. Calls fail at once, and a task tries to reach it.
    silent: Option<String>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Link {
    /// A connection that is not open yet.
    pub(super) fn new(server: Server, client: Client, config: AsyncConnectionConfig) -> Self {
        Self { server, client, config, state: Mutex::default(), opening: Default::default() }
    }

    /// Sends a command and waits for the answer. `asking` is for a slot on its way to this server.
    pub(super) async fn query(
        self: &Arc<Self>,
        command: &Cmd,
        asking: bool,
    ) -> Result<Value, QueryError> {
        let mut attempt = 1;
        loop {
            let (number, connection) = self.connection().await?;
            match send(connection, command, asking).await {
                Ok(answer) => return Ok(answer),
                Err(error) if is_of_connection(&error) => {
                    self.abandon(number, &error);
                    if attempt == ATTEMPTS || error.is_timeout() {
                        return Err(QueryError::of(&self.server, &error));
                    }
                }
                Err(error) => return Err(QueryError::of(&self.server, &error)),
            }
            attempt += 1;
        }
    }

    async fn connection(self: &Arc<Self>) -> Result<(u64, MultiplexedConnection), QueryError> {
        if let Some(open) = self.find_open()? {
            return Ok(open);
        }
        let _opening = self.opening.lock().await;
        if let Some(open) = self.find_open()? {
            return Ok(open);
        }
        match self.open().await {
            Ok(open) => Ok(open),
            Err(error) => {
                // A server that refuses does so at once: the next call tries again.
                if error.is_timeout() {
                    self.set_silent(&mut self.state(), error.to_string());
                }
                Err(QueryError::of(&self.server, &error))
            }
        }
    }

    async fn open(&self) -> Result<(u64, MultiplexedConnection), RedisError> {
        let connection =
            self.client.get_multiplexed_async_connection_with_config(&self.config).await?;
        let mut state = self.state();
        state.number += 1;
        state.silent = None;
        state.open = Some(connection.clone());
        Ok((state.number, connection))
    }

    /// The open connection; an error if the server is silent.
    fn find_open(&self) -> Result<Option<(u64, MultiplexedConnection)>, QueryError> {
        let state = self.state();
        if let Some(reason) = &state.silent {
            return Err(QueryError::unavailable(&self.server, reason.clone()));
        }
        Ok(state.open.as_ref().map(|connection| (state.number, connection.clone())))
    }

    /// Gives a connection up that broke or hangs. Other calls on it end with it.
    fn abandon(self: &Arc<Self>, number: u64, error: &RedisError) {
        let mut state = self.state();
        if state.number != number || state.open.take().is_none() {
            return;
        }
        // A connection that broke is opened again at once: servers close idle ones.
        if error.is_timeout() {
            self.set_silent(&mut state, error.to_string());
        }
    }

    /// Fails while the server is silent.
    pub(super) fn check(&self) -> Result<(), QueryError> {
        self.find_open().map(drop)
    }

    /// Says that the server did not answer on another connection.
    pub(super) fn set_late(self: &Arc<Self>, reason: String) {
        self.set_silent(&mut self.state(), reason);
    }

    /// Makes calls fail at once until a task has reached the server. An attempt that is under way
    /// when the server wakes up succeeds then.
    fn set_silent(self: &Arc<Self>, state: &mut State, reason: String) {
        if state.silent.replace(reason).is_none() {
            tokio::spawn(reach(Arc::downgrade(self)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries to reach a silent server until it answers or refuses, or its tier is gone.
async fn reach(link: Weak<Link>) {
    while let Some(link) = link.upgrade() {
        match link.open().await {
            Ok(_) => return,
            Err(error) if error.is_timeout() => {}
            Err(_) => {
                link.state().silent = None;
                return;
            }
        }
        drop(link);
        time::sleep(RETRY_AFTER).await;
    }
}

async fn send(
    mut connection: MultiplexedConnection,
    command: &Cmd,
    asking: bool,
) -> Result<Value, RedisError> {
    if !asking {
        return command.query_async(&mut connection).await;
    }
    let mut pipeline = redis::pipe();
    pipeline.cmd("ASKING").ignore().add_command(command.clone());
    let (answer,) = pipeline.query_async(&mut connection).await?;
    Ok(answer)
}

/// Whether an error is of the connection, so that the next call needs another one.
fn is_of_connection(error: &RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error()
}
