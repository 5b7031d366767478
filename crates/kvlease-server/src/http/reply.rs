//! Replies and refusals.

use std::{borrow::Cow, sync::LazyLock, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use kvlease_api::{ErrorBody, ErrorCode, JSON};
use kvlease_types::{Miss, RemoveRefused, WriteRefused};
use serde::Serialize;

use super::{accounted, body::Body};
use crate::{
    connection_memory::{Held, Purpose},
    context::Context,
    status::Draining,
};

/// Seconds after which a client that was refused for lack of room may try again.
const RETRY_AFTER_S: u32 = 1;

/// Scheme by which callers are identified, for those who are not.
const CHALLENGE: &str = "Bearer realm=\"kvlease\"";

/// The longest reply in bytes that needs no memory beside the place of its connection.
pub(crate) const SMALL_REPLY_LEN: usize = 8 << 10;

/// How long a request waits for the memory of its reply.
const MEMORY_WAIT: Duration = Duration::from_secs(1);

/// Bodies of answers to those whose object is not leased, by the place of the [`Miss`].
static MISSES: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let bodies = Miss::ALL.iter().map(|miss| Refusal::new(ErrorCode::of_miss(*miss), *miss));
    bodies.map(|refusal| refusal.body()).collect()
});

/// Result of a handler.
pub(crate) type Answer = Result<Reply, Refusal>;

/// Reply, apart from the headers that every reply has.
pub(crate) struct Reply {
    status: StatusCode,
    pub(crate) content_type: Option<&'static str>,
    /// Further headers.
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Body,
}

impl Reply {
    pub(crate) const fn new(content_type: Option<&'static str>, body: Body) -> Self {
        Self { status: StatusCode::OK, content_type, headers: Vec::new(), body }
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The reply, with these headers and its own.
    pub(crate) fn into_response(self, mut headers: HeaderMap) -> Response<Body> {
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

/// Refusal of a request.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: Cow<'static, str>,
    /// Whether the connection ends with this reply.
    pub(crate) close: bool,
    /// The methods that the path answers, if the method was wrong.
    allow: Option<String>,
    /// The body, where it was made before.
    made: Option<Bytes>,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl ToString) -> Self {
        Self { code, message: message.to_string().into(), close: false, allow: None, made: None }
    }

    /// Refusal of a request that broke off: where the next one starts is unknown.
    pub(crate) fn closing(code: ErrorCode, message: impl ToString) -> Self {
        Self { close: true, ..Self::new(code, message) }
    }

    pub(crate) fn invalid(message: impl ToString) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    pub(crate) fn wrong_method(method: &Method, allowed: String) -> Self {
        let message = format!(
            "the path does not answer this method: use one of {allowed}, method=`{method}`"
        );
        Self { allow: Some(allowed), ..Self::new(ErrorCode::MethodNotAllowed, message) }
    }

    fn body(&self) -> Bytes {
        json_bytes(&ErrorBody { code: self.code, message: self.message.clone().into_owned() })
    }

    pub(crate) fn into_reply(mut self) -> Reply {
        let body = self.made.take().unwrap_or_else(|| self.body());
        let mut reply = typed(JSON, body);
        reply.status = status(self.code);
        reply = match self.code {
            ErrorCode::NoSpace | ErrorCode::Unavailable | ErrorCode::TooManyRequests => {
                reply.with(header::RETRY_AFTER, RETRY_AFTER_S.into())
            }
            ErrorCode::Unauthorized => {
                reply.with(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE))
            }
            _ => reply,
        };
        if let Some(allowed) = self.allow {
            let allowed = HeaderValue::try_from(allowed).expect("methods are letters");
            reply = reply.with(header::ALLOW, allowed);
        }
        if self.close {
            reply = reply.with(header::CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }
}

impl From<Miss> for Refusal {
    /// Most look-ups end here: nothing of it is made anew.
    fn from(miss: Miss) -> Self {
        Self {
            code: ErrorCode::of_miss(miss),
            message: miss.text().into(),
            close: false,
            allow: None,
            made: Some(MISSES[miss.index()].clone()),
        }
    }
}

impl From<WriteRefused> for Refusal {
    fn from(refused: WriteRefused) -> Self {
        Self::new(ErrorCode::of_write(refused), refused)
    }
}

impl From<RemoveRefused> for Refusal {
    fn from(refused: RemoveRefused) -> Self {
        Self::new(ErrorCode::of_remove(refused), refused)
    }
}

impl From<Draining> for Refusal {
    fn from(draining: Draining) -> Self {
        Self::new(ErrorCode::Unavailable, draining)
    }
}

pub(crate) const fn empty() -> Reply {
    Reply::new(None, Body::Full(None))
}

pub(crate) fn json<T: Serialize>(value: &T) -> Reply {
    typed(JSON, json_bytes(value))
}

/// Serialises one of the API's bodies.
pub(crate) fn json_bytes<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("the API's bodies have string keys and finite numbers").into()
}

pub(crate) const fn typed(content_type: &'static str, bytes: Bytes) -> Reply {
    Reply::new(Some(content_type), Body::Full(Some(bytes)))
}

/// Takes memory for a reply, before it is made.
pub(crate) async fn memory(
    context: &Context,
    purpose: Purpose,
    len: usize,
) -> Result<Held, Refusal> {
    memory_within(context, purpose, len, MEMORY_WAIT).await
}

/// As [`memory`], and waits for it as long as this.
pub(crate) async fn memory_within(
    context: &Context,
    purpose: Purpose,
    len: usize,
    wait: Duration,
) -> Result<Held, Refusal> {
    context.memory.take(purpose, len, wait).await.ok_or_else(|| {
        let text = "the memory for replies is taken by other clients: try again, or raise \
            server.connection_memory_max";
        Refusal::new(ErrorCode::Unavailable, text)
    })
}

/// A reply that keeps its memory until it has been sent.
pub(crate) fn accounted(content_type: &'static str, bytes: Bytes, mut held: Held) -> Reply {
    held.shrink(bytes.len());
    typed(content_type, accounted::accounted(bytes, held))
}

fn status(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).expect("every error code has a valid status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_says_what_any_refusal_with_its_text_says() {
        for miss in Miss::ALL.iter().copied() {
            assert_eq!(miss.text(), miss.to_string());
            let (made, usual) = (Refusal::from(miss), Refusal::new(ErrorCode::of_miss(miss), miss));
            assert_eq!(made.made, Some(usual.body()), "{miss:?}");
            assert_eq!((made.code, made.message, made.close), (usual.code, usual.message, false));
        }
    }
}
