//! Connections to a server for large values, opened on demand and used again.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{Cmd, RedisError, Value};
use tokio::{sync::Semaphore, time};

use super::{access::Access, answer::QueryError, link::Link, set::Set, stream::Stream};
use crate::{authorities::with_remedy, location::Server};

/// Attempts to send a value: a connection that broke while it was idle is noticed by the first.
const ATTEMPTS: usize = 2;

/// Connections to a server for large values. Each sends one value at a time.
pub(super) struct Sender {
    server: Server,
    access: Access,
    places: Semaphore,
    idle: Mutex<Vec<Stream>>,
    /// Link to the same server, which knows whether the server is silent, and tries to reach it then.
    link: Arc<Link>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Sender {
    /// At most `max` connections, none of which is open yet.
    pub(super) fn new(server: Server, access: Access, max: usize, link: Arc<Link>) -> Self {
        let places = Semaphore::new(max);
        Self { server, access, places, idle: Mutex::default(), link }
    }

    /// Stores a value. `asking` is for a slot on its way to this server.
    pub(super) async fn send(&self, set: &Set, asking: bool) -> Result<Value, QueryError> {
        let _place = self.places.acquire().await.expect("the semaphore is never closed");
        let mut attempt = 1;
        loop {
            self.link.check()?;
            let idle = if attempt == 1 { self.idle().pop() } else { None };
            let mut stream = match idle {
                Some(stream) => stream,
                None => self.open().await?,
            };
            match self.within(self.access.call_timeout, store(&mut stream, set, asking)).await {
                Ok(answer) => {
                    // Also after an error of the server: it has read the whole command.
                    self.idle().push(stream);
                    return self.answer(answer);
                }
                Err(error) if attempt == ATTEMPTS || error.kind() == io::ErrorKind::TimedOut => {
                    return Err(self.unavailable(&error));
                }
                // What broke one connection broke the others, such as a restart of the server.
                Err(_) => self.idle().clear(),
            }
            attempt += 1;
        }
    }

    async fn open(&self) -> Result<Stream, QueryError> {
        let open = async {
            let mut stream = Stream::open(&self.server, self.access.tls_config.as_ref()).await?;
            for command in self.access.opening() {
                let answer = stream.query(&command).await?;
                if answer != Value::Okay {
                    return Ok(Err(answer));
                }
            }
            Ok(Ok(stream))
        };
        match self.within(self.access.connect_timeout, open).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(refusal)) => Err(self.answer(refusal).err().unwrap_or(QueryError::Unexpected)),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        match time::timeout(limit, call).await {
            Ok(done) => done,
            Err(_) => {
                let error = io::Error::from(io::ErrorKind::TimedOut);
                self.link.set_late(error.to_string());
                Err(error)
            }
        }
    }

    fn answer(&self, answer: Value) -> Result<Value, QueryError> {
        match answer {
            Value::ServerError(error) => {
                Err(QueryError::of(&self.server, &RedisError::from(error)))
            }
            answer => Ok(answer),
        }
    }

    fn unavailable(&self, error: &io::Error) -> QueryError {
        QueryError::unavailable(&self.server, with_remedy(error.to_string()))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Stream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn store(stream: &mut Stream, set: &Set, asking: bool) -> io::Result<Value> {
    if asking {
        let mut word = Cmd::new();
        word.arg("ASKING");
        let answer = stream.query(&word).await?;
        if answer != Value::Okay {
            return Ok(answer);
        }
    }
    stream.send(set.parts()).await
}
