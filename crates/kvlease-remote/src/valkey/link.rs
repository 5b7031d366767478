//! Connection to a server, opened on demand and again after it broke.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, Value, aio::MultiplexedConnection};

use super::answer::QueryError;
use crate::location::Server;

/// Time after a failure in which calls fail at once, so that they do not queue for a server that is
/// lost.
const RETRY_AFTER: Duration = Duration::from_millis(500);

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
    /// The last failure, if there was no answer since.
    failed: Option<Failure>,
}

#[derive(Clone)]
struct Failure {
    at: Instant,
    reason: String,
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
    pub(super) async fn query(&self, command: &Cmd, asking: bool) -> Result<Value, QueryError> {
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

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), QueryError> {
        if let Some(open) = self.find_open()? {
            return Ok(open);
        }
        // While the server is lost, one call tries it and the others fail.
        let failed = self.state().failed.clone();
        let _opening = match failed {
            None => self.opening.lock().await,
            Some(failure) => self
                .opening
                .try_lock()
                .map_err(|_| QueryError::unavailable(&self.server, failure.reason))?,
        };
        if let Some(open) = self.find_open()? {
            return Ok(open);
        }
        let opened = self.client.get_multiplexed_async_connection_with_config(&self.config).await;
        let mut state = self.state();
        match opened {
            Ok(connection) => {
                state.number += 1;
                state.failed = None;
                state.open = Some(connection.clone());
                Ok((state.number, connection))
            }
            Err(error) => {
                state.failed = Some(Failure { at: Instant::now(), reason: error.to_string() });
                Err(QueryError::of(&self.server, &error))
            }
        }
    }

    /// The open connection; an error if the last failure is too recent to try again.
    fn find_open(&self) -> Result<Option<(u64, MultiplexedConnection)>, QueryError> {
        let state = self.state();
        if let Some(connection) = &state.open {
            return Ok(Some((state.number, connection.clone())));
        }
        match &state.failed {
            Some(failure) if failure.at.elapsed() < RETRY_AFTER => {
                Err(QueryError::unavailable(&self.server, failure.reason.clone()))
            }
            _ => Ok(None),
        }
    }

    /// Gives a connection up that broke or hangs. Other calls on it end with it.
    fn abandon(&self, number: u64, error: &RedisError) {
        let mut state = self.state();
        if state.number != number || state.open.take().is_none() {
            return;
        }
        // A connection that broke is opened again at once: servers close idle ones.
        if error.is_timeout() {
            state.failed = Some(Failure { at: Instant::now(), reason: error.to_string() });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
