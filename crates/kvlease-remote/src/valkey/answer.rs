//! Answers of a server.

use bytes::Bytes;
use kvlease_tier::TierError;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

use crate::{location::Server, remedy::with_remedy};

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
        let redirect = error.redirect_node().and_then(|(address, _slot)| other(address, server));
        match (error.kind(), redirect) {
            (ErrorKind::Server(ServerErrorKind::Moved), Some(to)) => Self::Moved(to),
            (ErrorKind::Server(ServerErrorKind::Ask), Some(to)) => Self::Ask(to),
            _ => match error.code() {
                Some("WRONGTYPE") => Self::WrongType,
                Some("OOM") => Self::OutOfMemory,
                _ => Self::unavailable(server, error.to_string()),
            },
        }
    }

    /// The server cannot be used.
    pub(super) fn unavailable(server: &Server, reason: String) -> Self {
        Unavailable { server: server.to_string(), reason: with_remedy(reason) }.into()
    }
}

/// The server at an address that another one gives. One that does not know its own host names none, and means
/// itself.
fn other(address: &str, from: &Server) -> Option<Server> {
    let (host, port) = address.rsplit_once(':')?;
    let host = if matches!(host, "" | "?") { &from.host } else { host };
    Some(Server { host: host.to_owned(), port: port.parse().ok()? })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(line: &str) -> QueryError {
        let from = Server { host: "asked".to_owned(), port: 6379 };
        match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
            Ok(Value::ServerError(error)) => QueryError::of(&from, &RedisError::from(error)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_names_the_one_that_has_the_slot() {
        for (address, host, port) in [
            ("127.0.0.1:6381", "127.0.0.1", 6381),
            ("valkey-2.internal:1", "valkey-2.internal", 1),
            ("2001:db8::2:6381", "2001:db8::2", 6381),
            (":6381", "asked", 6381),
            ("?:6381", "asked", 6381),
        ] {
            let server = Server { host: host.to_owned(), port };
            let moved = error_of(&format!("MOVED 3999 {address}"));
            assert!(matches!(moved, QueryError::Moved(to) if to == server), "{address}");
            let ask = error_of(&format!("ASK 3999 {address}"));
            assert!(matches!(ask, QueryError::Ask(to) if to == server), "{address}");
        }
    }

    #[test]
    fn other_errors_are_the_server_s() {
        assert!(matches!(error_of("WRONGTYPE Operation"), QueryError::WrongType));
        assert!(matches!(error_of("OOM command not allowed"), QueryError::OutOfMemory));
        for line in ["MOVED 3999", "MOVED 3999 nowhere", "ASK 3999 a:port", "LOADING Redis is"] {
            assert!(matches!(error_of(line), QueryError::Unavailable(_)), "{line}");
        }
    }
}
