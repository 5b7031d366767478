//! Replies, and the one place where the engine's refusals become HTTP.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use kvlease_api::{ErrorBody, ErrorCode, JSON};
use kvlease_cache::ReserveError;
use kvlease_engine::{LeaseRefused, PutError, RemoveRefused};
use serde::Serialize;

use super::body::Body;

/// After how many seconds a client that was refused for lack of room may try again.
const RETRY_AFTER_S: u32 = 1;

/// A request that was not granted.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    /// Whether the connection ends with this reply.
    pub(crate) close: bool,
    /// The methods that the path does answer, if that is what was wrong.
    allow: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl ToString) -> Self {
        Self { code, message: message.to_string(), close: false, allow: None }
    }

    /// The refusal of a request that broke off: there is no telling where the next one starts.
    pub(crate) fn closing(code: ErrorCode, message: impl ToString) -> Self {
        Self { close: true, ..Self::new(code, message) }
    }

    pub(crate) fn invalid(message: impl ToString) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    pub(crate) fn wrong_method(method: &Method, allowed: &'static str) -> Self {
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
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        if self.close {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<PutError> for Refusal {
    fn from(error: PutError) -> Self {
        let code = match &error {
            PutError::Reserve(ReserveError::Exists | ReserveError::BeingWritten) => {
                ErrorCode::Exists
            }
            PutError::Reserve(ReserveError::TooLarge { .. }) | PutError::TooLarge { .. } => {
                ErrorCode::TooLarge
            }
            PutError::Reserve(_) => ErrorCode::NoSpace,
            PutError::TooLong { .. } => ErrorCode::Invalid,
            PutError::TooShort { .. } => ErrorCode::BodyIncomplete,
        };
        Self::new(code, error)
    }
}

impl From<LeaseRefused> for Refusal {
    fn from(refused: LeaseRefused) -> Self {
        let code = match refused {
            LeaseRefused::Absent { .. } => ErrorCode::NotFound,
            LeaseRefused::StillWriting { .. } => ErrorCode::StillWriting,
            LeaseRefused::TooManyLeases | LeaseRefused::MemoryShort => ErrorCode::Unavailable,
        };
        Self::new(code, refused)
    }
}

impl From<RemoveRefused> for Refusal {
    fn from(refused: RemoveRefused) -> Self {
        let code = match refused {
            RemoveRefused::Absent => ErrorCode::NotFound,
            RemoveRefused::BeingWritten => ErrorCode::Exists,
        };
        Self::new(code, refused)
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

fn status(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).expect("every error code has a valid status")
}
