//! Answers of a server.

use bytes::Bytes;
use kvlease_tier::TierError;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

use crate::{authorities::with_remedy, location::Server};

/// Answer to a call.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Answer {
    /// Of the library.
    Value(Value),
    /// A large value, which is these bytes one behind the other.
    Parts(Vec<Bytes>),
}

/// Reason why a command has no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    /// The value under the name is no string.
    #[error("the value is no string")]
    WrongType,
    /// The server has no memory left, and its policy evicts nothing.
    #[error("the server is out of memory")]
    OutOfMemory,
    /// The slot of the name moved to another server.
    #[error("the slot moved to {0}")]
    Moved(Server),
    /// The slot of the name is on its way to another server, which has the name already.
    #[error("the slot is moving to {0}")]
    Ask(Server),
    /// The answer is of another type than the command has.
    #[error("an answer of an unexpected type")]
    Unexpected,
    /// The server did not answer in time, or not as it should.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Reason why a server cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{server}: {reason}")]
pub(super) struct Unavailable {
    pub(super) server: String,
    pub(super) reason: String,
}

impl Answer {
    /// The answer of the library.
    pub(super) fn value(self) -> Result<Value, QueryError> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Parts(_) => Err(QueryError::Unexpected),
        }
    }

    /// The parts of a value, none of which is empty; `None` for no value.
    pub(super) fn parts(self) -> Result<Option<Vec<Bytes>>, QueryError> {
        match self {
            Self::Parts(parts) => Ok(Some(parts)),
            Self::Value(value) => {
                let bytes = bytes(value)?.map(Bytes::from);
                Ok(bytes.map(|bytes| if bytes.is_empty() { Vec::new() } else { vec![bytes] }))
            }
        }
    }
}

impl QueryError {
    /// The reason of the library.
    pub(super) fn of(server: &Server, error: &RedisError) -> Self {
        let redirect =
            error.redirect_node().map(|(host, port)| Server { host: address(host, server), port });
        match (error.kind(), redirect) {
            (ErrorKind::Server(ServerErrorKind::Moved), Some(to)) => Self::Moved(to),
            (ErrorKind::Server(ServerErrorKind::Ask), Some(to)) => Self::Ask(to),
            _ => match error.code() {
                Some("WRONGTYPE") => Self::WrongType,
                Some("OOM") => Self::OutOfMemory,
                _ => Self::unavailable(server, with_remedy(error.to_string())),
            },
        }
    }

    /// The server cannot be used.
    pub(super) fn unavailable(server: &Server, reason: String) -> Self {
        Unavailable { server: server.to_string(), reason }.into()
    }
}

/// A server that does not know its own address names none: it means itself.
fn address(host: &str, server: &Server) -> String {
    if host.is_empty() { server.host.clone() } else { host.to_owned() }
}

impl From<QueryError> for TierError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::OutOfMemory => Self::Full,
            other => Self::Unavailable(Box::new(other)),
        }
    }
}

/// The bytes of an answer; `None` for no value.
pub(super) fn bytes(answer: Value) -> Result<Option<Vec<u8>>, QueryError> {
    match answer {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        _ => Err(QueryError::Unexpected),
    }
}
