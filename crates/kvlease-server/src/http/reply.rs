//! Replies and refusals.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use kvlease_api::{ErrorBody, ErrorCode, JSON};
use kvlease_types::{Miss, RemoveRefused, WriteRefused};
use serde::Serialize;

use super::body::{self, Body};
use crate::{
    connection_memory::{Held, Purpose},
    context::Context,
    status::Draining,
};

/// Seconds after which a client that was refused for lack of room may try again.
const RETRY_AFTER_S: u32 = 1;

/// The longest reply in bytes that needs no memory beside the place of its connection.
pub(crate) const SMALL_REPLY_LEN: usize = 8 << 10;

/// How long a request waits for the memory of its reply.
const MEMORY_WAIT: Duration = Duration::from_secs(1);

/// Result of a handler.
pub(crate) type Answer = Result<Response<Body>, Refusal>;

/// Refusal of a request.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    /// Whether the connection ends with this reply.
    pub(crate) close: bool,
    /// The methods that the path answers, if the method was wrong.
    allow: Option<String>,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl ToString) -> Self {
        Self { code, message: message.to_string(), close: false, allow: None }
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

    pub(crate) fn into_response(self) -> Response<Body> {
        let body = ErrorBody { code: self.code, message: self.message };
        let mut response = json(&body);
        *response.status_mut() = status(self.code);
        if matches!(self.code, ErrorCode::NoSpace | ErrorCode::Unavailable) {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_S.into());
        }
        if let Some(allowed) = self.allow {
            let allowed = HeaderValue::try_from(allowed).expect("methods are letters");
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        if self.close {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<Miss> for Refusal {
    fn from(miss: Miss) -> Self {
        Self::new(ErrorCode::of_miss(miss), miss)
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

pub(crate) fn empty() -> Response<Body> {
    Response::new(Body::Full(None))
}

pub(crate) fn json<T: Serialize>(value: &T) -> Response<Body> {
    typed(JSON, json_bytes(value))
}

/// Serialises one of the API's bodies.
pub(crate) fn json_bytes<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("the API's bodies have string keys and finite numbers").into()
}

pub(crate) fn typed(content_type: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Full(Some(bytes)));
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Takes memory for a reply, before it is made.
pub(crate) async fn memory(
    context: &Context,
    purpose: Purpose,
    len: usize,
) -> Result<Held, Refusal> {
    context.memory.take(purpose, len, MEMORY_WAIT).await.ok_or_else(|| {
        let text = "the memory for replies is taken by other clients: try again, or raise \
            server.connection_memory_max";
        Refusal::new(ErrorCode::Unavailable, text)
    })
}

/// A reply that keeps its memory until it has been sent.
pub(crate) fn accounted(
    content_type: &'static str,
    bytes: Bytes,
    mut held: Held,
) -> Response<Body> {
    held.shrink(bytes.len());
    typed(content_type, body::accounted(bytes, held))
}

fn status(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).expect("every error code has a valid status")
}
