//! Calls: the breaker, a permit, a connection, the answer, all within one time limit.
//!
//! The time of a call is one deadline from its start. A time-out while waiting for a permit does not
//! count against the circuit breaker, so that a busy client never takes its daemon for a dead one.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use kvlease_types::Key;
use tokio::time::{Instant, timeout_at};

use crate::{
    Error,
    breaker::{Pass, Refusal},
    core::Core,
    head::Head,
    operation::Operation,
    pool::{Permit, PooledConnection},
    reply::{Call, Reply},
    request::Request,
};

/// A deadline that is as good as none, for limits beyond what the clock can tell.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// How long a call may take, and until when that is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    span: Duration,
    deadline: Instant,
}

/// The answer to a request for an object.
pub(crate) enum Opened<'a> {
    /// Its bytes follow.
    Object(Head, PooledConnection),
    /// There are none.
    Other(Reply<'a>),
}

impl Limit {
    /// So long from now.
    pub(crate) fn new(span: Duration) -> Self {
        let now = Instant::now();
        Self { span, deadline: now.checked_add(span).unwrap_or(now + FAR) }
    }

    /// The same, and no longer than this from now.
    pub(crate) fn at_most(self, span: Duration) -> Self {
        let sooner = Self::new(span);
        if sooner.deadline < self.deadline { sooner } else { self }
    }

    /// Output of the future, unless the time is over before.
    pub(crate) async fn apply<T>(
        self,
        call: &Call<'_>,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        timeout_at(self.deadline, future).await.unwrap_or_else(|_| {
            let address = call.core.config.address.clone();
            let (operation, request_id) = (call.operation.name(), Some(call.id));
            Err(Error::TimedOut { operation, request_id, limit: self.span, address })
        })
    }
}

impl Core {
    /// Call about one object.
    pub(crate) fn about<'a>(self: &'a Arc<Self>, operation: Operation, key: &'a Key) -> Call<'a> {
        Call::about(self, operation, key)
    }

    /// Limit of a call that carries no object and waits for none.
    pub(crate) fn call_limit(&self) -> Limit {
        Limit::new(self.config.timeouts.call)
    }

    /// Sends a request that is about no object; an answer that is no success is an error.
    pub(crate) async fn success(
        self: &Arc<Self>,
        operation: Operation,
        request: Request,
    ) -> Result<Reply<'_>, Error> {
        let call = Call::new(self, operation);
        let reply = self.call(call, self.call_limit(), request).await?;
        if reply.head.status.is_success() { Ok(reply) } else { Err(reply.refused()) }
    }

    /// Sends a request and reads its reply to the end.
    pub(crate) async fn call<'a>(
        &self,
        call: Call<'a>,
        limit: Limit,
        request: Request,
    ) -> Result<Reply<'a>, Error> {
        let stall = self.config.timeouts.stall;
        self.attempt(&call, limit, request, async |head, pooled| {
            // Replies are short: they come at once, or not at all.
            limit.at_most(stall).apply(&call, Reply::read(head, pooled, call)).await
        })
        .await
    }

    /// Sends a request for an object, and leaves its bytes to be read.
    pub(crate) async fn open<'a>(
        &self,
        call: Call<'a>,
        limit: Limit,
        request: Request,
    ) -> Result<Opened<'a>, Error> {
        let open = async |head: Head, pooled| match head.status {
            StatusCode::OK => Ok(Opened::Object(head, pooled)),
            _ => Reply::read(head, pooled, call).await.map(Opened::Other),
        };
        self.attempt(&call, limit, request, open).await
    }

    /// Notes that an answer failed which had begun well.
    pub(crate) fn note_failure(&self, error: &Error) {
        if is_no_answer(error) {
            self.breaker.note_failure();
        }
    }

    async fn attempt<T>(
        &self,
        call: &Call<'_>,
        limit: Limit,
        mut request: Request,
        read: impl AsyncFnOnce(Head, PooledConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        call.id.add_to(&mut request.head);
        let outcome = async {
            if let Some(credentials) = &self.credentials {
                credentials.add_to(&mut request.head)?;
            }
            let (pass, permit) = self.enter(call, limit).await?;
            let exchange = async {
                let repeated = &self.counting.calls_repeated;
                let answer = self.pool.exchange(&mut request, repeated).await;
                let (head, connection) = answer.map_err(|fault| call.failed(fault))?;
                if !head.announcement.is_empty() {
                    self.note_announcement(&head.announcement);
                    self.note_extensions();
                }
                read(head, PooledConnection::new(connection, Arc::clone(&self.pool), permit)).await
            };
            let outcome = limit.apply(call, exchange).await;
            judge(pass, &outcome);
            outcome
        };
        let outcome = outcome.await;
        self.counting.count_call(&outcome);
        outcome
    }

    /// Asks the breaker, and waits for a permit.
    async fn enter(&self, call: &Call<'_>, limit: Limit) -> Result<(Pass<'_>, Permit), Error> {
        let pool = &self.pool;
        let pass = self.pass(call)?;
        if let Some(permit) = pool.try_permit(call.operation) {
            return Ok((pass, permit));
        }
        let permit = timeout_at(limit.deadline, pool.permit(call.operation)).await;
        let permit = permit.map_err(|_| Error::PoolTimeout {
            operation: call.operation.name(),
            limit: limit.span,
            at_a_time: pool.permits_max(),
        })?;
        // Much may have happened meanwhile.
        let pass = if pass.is_probe() { pass } else { self.pass(call)? };
        Ok((pass, permit))
    }

    fn pass(&self, call: &Call<'_>) -> Result<Pass<'_>, Error> {
        self.breaker.enter().map_err(|Refusal { failures, retry_in }| {
            let address = call.core.config.address.clone();
            Error::CircuitOpen { address, failures, retry_in }
        })
    }
}

/// Tells the breaker how a call ended.
fn judge<T>(pass: Pass<'_>, outcome: &Result<T, Error>) {
    match outcome {
        Ok(_) => pass.answered(),
        Err(error) if is_no_answer(error) => pass.failed(),
        // The answer was no good, or the caller's source failed: neither says that the daemon is gone.
        Err(_) => drop(pass),
    }
}

/// Whether there was no answer, or not all of it.
fn is_no_answer(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable { .. }
            | Error::Tls { .. }
            | Error::Broken { .. }
            | Error::TimedOut { .. }
    )
}
