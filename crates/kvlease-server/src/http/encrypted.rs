//! An encrypted connection, as hyper sees it: requests and replies in the clear.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    connection::{READ_LEN_SMALL, Socket},
    reader_rate::Paced,
    records::Records,
};
use crate::tls::{self, ClientNames};

/// Bytes that one read takes from the socket, at most. The library asks for 4 KiB at a time.
const READ_AHEAD: usize = 32 << 10;

/// Bytes of a reply that are encrypted before they are sent: two records.
const RECORDS_LEN: usize = 32 << 10;

/// Encrypted bytes on their way to and from the socket. The least rate of readers is that of these
/// bytes: the library takes a reply before the socket has room for it.
type Wire = BufReader<Paced<Records>>;

/// An encrypted connection.
pub(super) struct Encrypted {
    stream: TlsStream<Wire>,
    socket: Socket,
}

impl Encrypted {
    /// Agrees with the client on encryption. Returns the names in its certificate as well.
    pub(super) async fn accept(
        acceptor: &TlsAcceptor,
        socket: Socket,
    ) -> io::Result<(Self, Option<ClientNames>)> {
        let wire = Paced::new(Records::new(socket.clone()));
        let wire = BufReader::with_capacity(READ_AHEAD, wire);
        let (mut stream, names) = tls::accept(acceptor, wire).await?;
        stream.get_mut().1.set_buffer_limit(Some(RECORDS_LEN));
        Ok((Self { stream, socket }, names))
    }

    /// Reads so little that hyper's read buffer does not grow.
    fn poll_read_little(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(Pin::new(&mut self.stream).poll_fill_buf(cx))?;
        let len = bytes.len().min(buffer.remaining()).min(READ_LEN_SMALL);
        buffer.put_slice(&bytes[..len]);
        let refusal = self.socket.look_at(&bytes[..len]);
        let mut stream = Pin::new(&mut self.stream);
        stream.as_mut().consume(len);
        let Some(refusal) = refusal else { return Poll::Ready(Ok(())) };
        // The client may be gone.
        let _ = stream.poll_write(cx, refusal);
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.socket.has_large_buffer() {
            true => Pin::new(&mut this.stream).poll_read(cx, buffer),
            false => this.poll_read_little(cx, buffer),
        }
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let stream = Pin::new(&mut this.stream);
        if let Some(reply) = slices.first().and_then(|first| this.socket.replaces(first)) {
            // hyper closes behind this reply, which is as long as its own or is cut to that.
            let written = stream.poll_write(cx, reply);
            return written.map_ok(|_| slices.iter().map(|slice| slice.len()).sum());
        }
        stream.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
