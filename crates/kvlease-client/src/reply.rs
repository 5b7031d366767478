//! Replies: read to their end within limits, and turned into values or errors.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use kvlease_api::{CHECKSUM_HEADER, ErrorBody, ErrorCode};
use kvlease_types::Checksum;
use serde::de::DeserializeOwned;

use crate::{Address, Error, pool::Busy};

/// The longest reply that is read whole: a listing of the most objects with the longest keys.
const REPLY_LEN_MAX: usize = 64 << 20;

/// How much of a reply that is no error of ours is quoted in an error.
const QUOTE_LEN_MAX: usize = 200;

/// A reply without an object's bytes.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Bytes,
    call: Call,
}

/// What was asked of whom, for errors.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    pub(crate) address: Address,
}

impl Call {
    /// The error for a reply that is not of the protocol.
    pub(crate) fn protocol(&self, what: impl ToString) -> Error {
        let (operation, address) = (self.operation, self.address.clone());
        Error::Protocol { operation, what: what.to_string(), address }
    }

    /// The error for a connection that broke.
    pub(crate) fn broken(&self, source: hyper::Error) -> Error {
        Error::Broken { operation: self.operation, address: self.address.clone(), source }
    }
}

impl Reply {
    /// Reads a response to its end and gives its connection back.
    pub(crate) async fn read(
        response: Response<Incoming>,
        busy: Busy,
        call: Call,
    ) -> Result<Self, Error> {
        let (head, mut incoming) = response.into_parts();
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| call.broken(error))?;
            let Some(data) = frame.data_ref() else { continue };
            if body.len() + data.len() > REPLY_LEN_MAX {
                return Err(call.protocol(format!("longer than `{REPLY_LEN_MAX}` bytes")));
            }
            body.extend_from_slice(data);
        }
        busy.finish();
        Ok(Self { status: head.status, headers: head.headers, body: body.freeze(), call })
    }

    /// The value that a success carries.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| self.call.protocol(error))
    }

    /// The daemon's code, if the body has one.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        self.error_body().map(|body| body.code)
    }

    /// Whether the reply says that there is no such object or lease. Other daemons say so with an
    /// empty 404.
    pub(crate) fn is_absent(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
            && self.code().is_none_or(|code| code == ErrorCode::NotFound)
    }

    /// The error for a reply that is no success.
    pub(crate) fn refused(&self) -> Error {
        let body = self.error_body();
        let (code, message) = match body {
            Some(body) => (Some(body.code), body.message),
            None => (None, self.quote()),
        };
        let status = self.status.as_u16();
        Error::Refused { operation: self.call.operation, status, code, message }
    }

    fn error_body(&self) -> Option<ErrorBody> {
        serde_json::from_slice(&self.body).ok()
    }

    fn quote(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(QUOTE_LEN_MAX)]);
        match text.trim() {
            "" => "it gave no reason".to_owned(),
            text => text.escape_debug().to_string(),
        }
    }
}

/// The checksum header of a `GET` or `HEAD`, if the daemon sends one.
pub(crate) fn checksum_header(headers: &HeaderMap, call: &Call) -> Result<Option<Checksum>, Error> {
    let Some(value) = headers.get(CHECKSUM_HEADER) else { return Ok(None) };
    let text = value.to_str().map_err(|error| call.protocol(error))?;
    parse_checksum(text, call).map(Some)
}

/// A checksum as it is on the wire: 16 hexadecimal digits.
pub(crate) fn parse_checksum(text: &str, call: &Call) -> Result<Checksum, Error> {
    match u64::from_str_radix(text, 16) {
        Ok(value) if text.len() == 16 => Ok(Checksum::new(value)),
        _ => Err(call.protocol(format!("no checksum: `{}`", text.escape_debug()))),
    }
}
