//! Request bodies: taken in, or taken in and thrown away before a refusal.

use std::time::Duration;

use http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Bytes, Incoming};
use kvlease_api::ErrorCode;
use kvlease_types::ByteSize;
use tokio::{
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};

use super::{
    connection::Socket,
    reply::{Answer, Refusal},
};
use crate::context::Context;

/// The least rate of an upload, in bytes a second, once the time of a stall has passed. Bytes that
/// come more slowly keep their space from others for too long.
const RATE_MIN: u64 = 64 << 10;

/// Bytes of a body after which other tenants go first: some hundred microseconds.
const TURN_LEN: u64 = 1 << 20;

/// How long bytes that the kernel has already may take to get here.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// The most bytes of a body without a length that are taken in after it is known to be too large.
const ENDLESS_LEN_MAX: u64 = 64 << 20;

/// The longest body that is taken in as a whole though it is too large: objects of LMCache are
/// shorter, and its clients count a connection that is closed under them as a failure.
const SIZED_LEN_MAX: u64 = 1 << 30;

/// The longest body that is taken in after an early refusal, so that the connection can be kept.
const EARLY_LEN_MAX: u64 = 8 << 20;

/// How long the next bytes of an endless body may take.
const ENDLESS_STALL: Duration = Duration::from_secs(1);

/// Refuses a request for its method or path; it may have a body all the same.
pub(super) async fn refuse(
    context: &Context,
    request: &mut Request<Incoming>,
    socket: &Socket,
    refusal: Refusal,
) -> Answer {
    Upload::new(context, request, socket).finish(Err(refusal)).await
}

/// Refuses a request before its body, which is taken in only if it is short.
pub(super) async fn refuse_early(
    context: &Context,
    request: &mut Request<Incoming>,
    socket: &Socket,
    refusal: Refusal,
) -> Answer {
    Upload::new(context, request, socket).refuse_early(refusal).await
}

/// A request body on its way in, within its time limits.
pub(super) struct Upload<'a> {
    body: &'a mut Incoming,
    has_length: bool,
    /// The client sends the body only once it is asked to (`Expect: 100-continue`), which it is
    /// when the first bytes are waited for.
    asks_first: bool,
    socket: &'a Socket,
    stall: Duration,
    started: Instant,
    received: u64,
    /// How much had been received when others had their turn; `None` if there are no turns.
    turn_at: Option<u64>,
    deadline: Instant,
}

impl<'a> Upload<'a> {
    pub(super) fn new(
        context: &Context,
        request: &'a mut Request<Incoming>,
        socket: &'a Socket,
    ) -> Self {
        let headers = request.headers();
        let has_length = headers.contains_key(header::CONTENT_LENGTH)
            || headers.contains_key(header::TRANSFER_ENCODING);
        let asks_first = headers.contains_key(header::EXPECT);
        if has_length {
            socket.expect_body(request.body().size_hint().exact(), &context.memory);
        }
        Self {
            has_length,
            asks_first,
            body: request.body_mut(),
            socket,
            stall: context.config.put_stall_timeout,
            started: Instant::now(),
            received: 0,
            turn_at: socket.takes_turns().then_some(0),
            deadline: Instant::now() + context.config.put_timeout,
        }
    }

    /// The length of the body; `None` if it is chunked.
    pub(super) fn len(&self) -> Result<Option<ByteSize>, Refusal> {
        if self.has_length {
            return Ok(self.body.size_hint().exact().map(ByteSize::new));
        }
        let message =
            "the request says nothing of its body: send Content-Length, or chunked encoding";
        Err(Refusal::new(ErrorCode::LengthRequired, message))
    }

    /// The next bytes; `None` behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        self.asks_first = false;
        self.give_way().await;
        loop {
            self.socket.expect(self.body.size_hint().exact());
            let until = self.deadline.min(self.rate_deadline()).min(Instant::now() + self.stall);
            let frame = match timeout_at(until, self.body.frame()).await {
                Ok(frame) => frame,
                // What has come meanwhile may be less than the kernel wakes us for.
                Err(_) if self.socket.expect(None) => {
                    timeout(LAST_LOOK, self.body.frame()).await.map_err(|_| self.too_slow())?
                }
                Err(_) => return Err(self.too_slow()),
            };
            match frame {
                None => {
                    self.socket.expect(None);
                    return Ok(None);
                }
                Some(Err(error)) => {
                    let message = format!("the body broke off: send it again, error=`{error}`");
                    return Err(Refusal::closing(ErrorCode::BodyIncomplete, message));
                }
                // Trailers are of no use here.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.received += bytes.len() as u64;
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// Lets other tenants go first, now and then.
    async fn give_way(&mut self) {
        if self.turn_at.is_some_and(|at| self.received >= at + TURN_LEN) {
            self.turn_at = Some(self.received);
            yield_now().await;
        }
    }

    /// Ends the upload with this answer. Before a refusal the rest of the body is taken in and
    /// thrown away: the stock clients stream without asking first, and a connection that is closed
    /// under their feet counts towards their circuit breaker. The rest of a body that is too large
    /// may be endless: it is taken in for a while, and the connection ends with the answer.
    pub(super) async fn finish(&mut self, answer: Answer) -> Answer {
        let mut refusal = match answer {
            Err(refusal) if !refusal.close && !self.asks_first => refusal,
            answer => return answer,
        };
        if refusal.code == ErrorCode::TooLarge && !self.ends_soon() {
            self.stall = self.stall.min(ENDLESS_STALL);
            let mut left = ENDLESS_LEN_MAX;
            let ended = loop {
                match self.next().await {
                    Ok(Some(bytes)) if left > bytes.len() as u64 => left -= bytes.len() as u64,
                    Ok(None) => break true,
                    Ok(Some(_)) | Err(_) => break false,
                }
            };
            refusal.close = !ended;
            return Err(refusal);
        }
        while self.next().await?.is_some() {}
        Err(refusal)
    }

    /// Refuses an upload before its body, which may be long: the connection ends with the answer then, so
    /// that the client can go elsewhere at once.
    pub(super) async fn refuse_early(&mut self, mut refusal: Refusal) -> Answer {
        if self.body.size_hint().exact().is_some_and(|left| left <= EARLY_LEN_MAX) {
            return self.finish(Err(refusal)).await;
        }
        refusal.close = true;
        Err(refusal)
    }

    /// Whether the body has a length within [`SIZED_LEN_MAX`].
    fn ends_soon(&self) -> bool {
        self.body.size_hint().exact().is_some_and(|left| left <= SIZED_LEN_MAX)
    }

    /// Until when the next bytes must be there for the least rate.
    fn rate_deadline(&self) -> Instant {
        let millis = self.received.saturating_mul(1000) / RATE_MIN;
        self.started + self.stall + Duration::from_millis(millis)
    }

    fn too_slow(&self) -> Refusal {
        let message = format!(
            "the body came too slowly: send it within the limits put_stall_timeout_s and \
             put_timeout_s, and {RATE_MIN} bytes a second, put_stall_timeout_s=`{}`",
            self.stall.as_secs_f64()
        );
        Refusal::closing(ErrorCode::BodyIncomplete, message)
    }
}
