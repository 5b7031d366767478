//! Handshakes, and requests that come without one.

use std::time::Duration;

use kvlease_api::{ErrorBody, ErrorCode, JSON};
use tokio::{
    io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::ClientNames;

/// How long the rest of a plain request is taken in, so that its client reads the refusal.
const REFUSAL_GRACE: Duration = Duration::from_secs(1);

/// The most bytes of a plain request that are taken in.
const PLAIN_LEN_MAX: u64 = 64 << 10;

/// Refuses a request in plain HTTP; returns whether there is one. The first byte tells: a handshake
/// begins with none that a request begins with.
pub(crate) async fn refuse_plain(stream: &mut TcpStream) -> io::Result<bool> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if !first[0].is_ascii_alphabetic() {
        return Ok(false);
    }
    let message = "this port speaks TLS: use an https:// URL".to_owned();
    let body = serde_json::to_vec(&ErrorBody { code: ErrorCode::Invalid, message })?;
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: {JSON}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).await?;
    stream.shutdown().await?;
    // Bytes that are not read would have the kernel reset the connection, refusal and all.
    let (mut rest, mut nowhere) = (stream.take(PLAIN_LEN_MAX), io::sink());
    let _ = timeout(REFUSAL_GRACE, io::copy(&mut rest, &mut nowhere)).await;
    Ok(true)
}

/// Agrees with a client on encryption. Returns the names in its certificate, if it showed one.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    acceptor: &TlsAcceptor,
    socket: S,
) -> io::Result<(TlsStream<S>, Option<ClientNames>)> {
    let stream = acceptor.accept(socket).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let names = shown.map(ClientNames::read);
    Ok((stream, names))
}
