//! Connections to a server for large values, opened on demand and used again.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{Cmd, RedisError, Value};
use tokio::{sync::Semaphore, time};

use super::{
    access::Access,
    answer::{Answer, QueryError},
    call::Call,
    link::Link,
    stream::Stream,
};
use crate::location::Server;

/// Attempts to make a call: a connection that broke while it was idle is noticed by the first.
const ATTEMPTS: usize = 2;

/// Connections to a server for large values. Each carries one value at a time.
pub(super) struct Streams {
    server: Server,
    access: Access,
    places: Semaphore,
    idle: Mutex<Vec<Stream>>,
    /// Link to the same server, which knows whether the server is silent, and tries to reach it then.
    link: Arc<Link>,
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Streams {
    /// At most `max` connections, none of which is open yet.
    pub(super) fn new(server: Server, access: Access, max: usize, link: Arc<Link>) -> Self {
        let places = Semaphore::new(max);
        Self { server, access, places, idle: Mutex::default(), link }
    }

    /// Makes a call. `asking` is for a slot on its way to this server.
    pub(super) async fn call(&self, call: Call<'_>, asking: bool) -> Result<Answer, QueryError> {
        let _place = self.places.acquire().await.expect("the semaphore is never closed");
        let mut attempt = 1;
        loop {
            self.link.check()?;
            let idle = if attempt == 1 { self.idle().pop() } else { None };
            let mut stream = match idle {
                Some(stream) => stream,
                None => self.open().await?,
            };
            match self.within(self.access.call_timeout, make(&mut stream, call, asking)).await {
                Ok(answer) => {
                    // Also after an error of the server: it has read the whole command.
                    if stream.is_at_rest() {
                        self.idle().push(stream);
                    }
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
            Ok(Err(refusal)) => {
                let refusal = self.answer(Answer::Value(refusal));
                Err(refusal.err().unwrap_or(QueryError::Unexpected))
            }
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

    fn answer(&self, answer: Answer) -> Result<Answer, QueryError> {
        match answer {
            Answer::Value(Value::ServerError(error)) => {
                Err(QueryError::of(&self.server, &RedisError::from(error)))
            }
            answer => Ok(answer),
        }
    }

    fn unavailable(&self, error: &io::Error) -> QueryError {
        QueryError::unavailable(&self.server, error.to_string())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Stream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make(stream: &mut Stream, call: Call<'_>, asking: bool) -> io::Result<Answer> {
    if asking {
        let mut word = Cmd::new();
        word.arg("ASKING");
        let answer = stream.query(&word).await?;
        if answer != Value::Okay {
            return Ok(Answer::Value(answer));
        }
    }
    stream.call(call).await
}
