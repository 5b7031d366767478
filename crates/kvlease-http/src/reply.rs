//! Replies: read to their end within limits, and turned into values or errors.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use kvlease_api::{ErrorBody, ErrorCode};
use kvlease_types::{Checksum, Key};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    Error, RequestId,
    connection::{Connection, Fault},
    core::Core,
    head::Head,
    operation::Operation,
    pool::{PoolFault, PooledConnection},
    socket::ConnectFault,
    stall::Stalled,
    tls::{self, TlsFault},
};

/// The longest reply that is read whole: a listing of the most objects with the longest keys.
const REPLY_LEN_MAX: usize = 64 << 20;

/// How much of a reply that is no error of ours is quoted in an error.
const QUOTE_LEN_MAX: usize = 200;

/// A reply without an object's bytes.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) head: Head,
    body: Bytes,
    /// The body of a refusal by a daemon of ours.
    refusal: Option<ErrorBody>,
    call: Call<'a>,
}

/// One call: its core, its operation, its key and its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) operation: Operation,
    pub(crate) key: Option<&'a Key>,
    pub(crate) id: RequestId,
}

impl<'a> Call<'a> {
    /// A call that is about no object.
    pub(crate) fn new(core: &'a Arc<Core>, operation: Operation) -> Self {
        Self { core, operation, key: None, id: RequestId::draw() }
    }

    /// A call about one object.
    pub(crate) fn about(core: &'a Arc<Core>, operation: Operation, key: &'a Key) -> Self {
        Self { key: Some(key), ..Self::new(core, operation) }
    }

    /// The error for a reply that is not of the protocol.
    pub(crate) fn protocol(&self, what: impl ToString) -> Error {
        let mut what = what.to_string();
        if let Some(key) = self.key {
            what.push_str(&format!(", key=`{key}`"));
        }
        let address = self.core.config.address.clone();
        Error::Protocol { operation: self.operation.name(), what, address }
    }

    /// The error for a request that has no answer.
    pub(crate) fn failed(&self, fault: PoolFault) -> Error {
        let address = self.core.config.address.clone();
        match fault {
            PoolFault::Connect(ConnectFault::Unreachable(source)) => {
                self.ended_by_tls(source, |source| Error::Unreachable { address, source })
            }
            PoolFault::Connect(ConnectFault::Tls(fault)) => match fault {
                TlsFault::CaFile { path, source } => Error::TlsCaFile { path, source },
                TlsFault::Identity { what, source } => {
                    let config = &self.core.config;
                    let certificate = config.tls_certificate_file.clone();
                    Error::TlsIdentity {
                        certificate,
                        key: config.tls_key_file.clone(),
                        what,
                        source,
                    }
                }
                TlsFault::Peer { what, source } => Error::Tls { address, what, source },
                TlsFault::Broken(source) => Error::Unreachable { address, source },
            },
            PoolFault::Exchange(fault) => self.broken(fault),
        }
    }

    /// The error for a connection that failed.
    pub(crate) fn broken(&self, fault: Fault) -> Error {
        let operation = self.operation.name();
        match (fault, self.key) {
            (Fault::Malformed(what), _) => self.protocol(what),
            (Fault::Stalled(Stalled(limit)), _) => {
                let address = self.core.config.address.clone();
                Error::TimedOut { operation, request_id: Some(self.id), limit, address }
            }
            (Fault::Source(source), Some(key)) => Error::Source { key: key.clone(), source },
            (
                Fault::Unsent(source)
                | Fault::Unanswered(source)
                | Fault::Cut(source)
                | Fault::Source(source),
                _,
            ) => {
                let address = self.core.config.address.clone();
                let request_id = Some(self.id);
                let broken = |source| Error::Broken { operation, address, request_id, source };
                self.ended_by_tls(source, broken)
            }
        }
    }

    /// The error for a connection that the other side ended by an alert of TLS. A daemon that does not
    /// take the client's certificate says so behind the handshake.
    fn ended_by_tls(&self, source: io::Error, other: impl FnOnce(io::Error) -> Error) -> Error {
        match tls::alert_remedy(&source) {
            Some(what) => Error::Tls { address: self.core.config.address.clone(), what, source },
            None => other(source),
        }
    }

    /// The error for a client that is not let in, or may not do what it asked for.
    fn denied(&self, status: StatusCode, message: String) -> Error {
        let remedy = match (status, &self.core.credentials) {
            (StatusCode::UNAUTHORIZED, None) => {
                "set `token_file`, or a client's certificate, as the daemon's operator says"
            }
            (StatusCode::UNAUTHORIZED, Some(credentials)) => {
                // It may have been replaced already.
                credentials.doubt();
                "the token is not one that the daemon knows: have a new one written to `token_file`"
            }
            _ => "have the daemon's operator grant the right, or use another bucket",
        };
        let (operation, status) = (self.operation.name(), status.as_u16());
        Error::Denied { operation, status, remedy, message, request_id: Some(self.id) }
    }
}

impl<'a> Reply<'a> {
    /// Reads an answer to its end and checks its connection in.
    pub(crate) async fn read(
        head: Head,
        mut pooled: PooledConnection,
        call: Call<'a>,
    ) -> Result<Self, Error> {
        let reply = Self::of(head, &mut pooled.connection, call).await?;
        pooled.check_in();
        Ok(reply)
    }

    /// Reads an answer to its end.
    pub(crate) async fn of<S: AsyncRead + AsyncWrite + Unpin>(
        head: Head,
        connection: &mut Connection<S>,
        call: Call<'a>,
    ) -> Result<Self, Error> {
        let body = read_body(connection, call).await?;
        let refusal = match head.status.is_success() {
            true => None,
            false => serde_json::from_slice(&body).ok(),
        };
        if refusal.is_some() {
            call.core.note_extensions();
        }
        Ok(Self { head, body, refusal, call })
    }

    /// The value that a success carries.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if !self.head.is_json {
            return Err(self.call.protocol("the content type is not `application/json`"));
        }
        serde_json::from_slice(&self.body).map_err(|error| self.call.protocol(error))
    }

    /// The text that a success carries.
    pub(crate) fn text(&self) -> Result<String, Error> {
        String::from_utf8(self.body.to_vec()).map_err(|error| self.call.protocol(error))
    }

    /// Whether the reply says that there is no such object or lease. Other daemons say so with an
    /// empty 404.
    pub(crate) fn is_absent(&self) -> bool {
        let code = self.refusal.as_ref().map(|refusal| refusal.code);
        self.head.status == StatusCode::NOT_FOUND
            && code.is_none_or(|code| code == ErrorCode::NotFound)
    }

    /// The error for a reply that is no success.
    pub(crate) fn refused(self) -> Error {
        let (code, message) = match self.refusal {
            Some(refusal) => (Some(refusal.code), refusal.message),
            None => (None, quote(&self.body)),
        };
        if matches!(self.head.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return self.call.denied(self.head.status, message);
        }
        let status = self.head.status.as_u16();
        let (operation, request_id) = (self.call.operation.name(), Some(self.call.id));
        Error::Refused { operation, status, code, message, request_id }
    }
}

async fn read_body<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    call: Call<'_>,
) -> Result<Bytes, Error> {
    let mut next = async || connection.next_bytes().await.map_err(|fault| call.broken(fault));
    let Some(first) = next().await? else { return Ok(Bytes::new()) };
    let Some(second) = next().await? else { return Ok(first) };
    let mut body = BytesMut::from(first);
    let mut piece = Some(second);
    while let Some(bytes) = piece {
        if body.len() + bytes.len() > REPLY_LEN_MAX {
            return Err(call.protocol(format!("longer than `{REPLY_LEN_MAX}` bytes")));
        }
        body.extend_from_slice(&bytes);
        piece = next().await?;
    }
    Ok(body.freeze())
}

fn quote(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(QUOTE_LEN_MAX)]);
    match text.trim() {
        "" => "it gave no reason".to_owned(),
        text => text.escape_debug().to_string(),
    }
}

/// The checksum header of a `GET` or `HEAD`, if the daemon sends one. Only ours does.
pub(crate) fn checksum_header(head: &Head, call: &Call<'_>) -> Result<Option<Checksum>, Error> {
    let checksum = head.checksum.as_deref().map(|text| parse_checksum(text, call)).transpose()?;
    if checksum.is_some() {
        call.core.note_extensions();
    }
    Ok(checksum)
}

/// A checksum as it is on the wire: 16 hexadecimal digits.
pub(crate) fn parse_checksum(text: &str, call: &Call<'_>) -> Result<Checksum, Error> {
    match u64::from_str_radix(text, 16) {
        Ok(value) if text.len() == 16 => Ok(Checksum::new(value)),
        _ => Err(call.protocol(format!("no checksum: `{}`", text.escape_debug()))),
    }
}
