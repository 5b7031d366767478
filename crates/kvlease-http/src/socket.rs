//! A connected socket, encrypted or not.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use kvlease_io::LazyStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::client::TlsStream;

use crate::{
    Address,
    tls::{Tls, TlsFault},
    zone,
};

/// A byte stream to the daemon.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(LazyStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Reason why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectFault {
    /// No daemon accepts it.
    Unreachable(io::Error),
    /// It cannot be encrypted.
    Tls(TlsFault),
}

impl Socket {
    /// Connects, and agrees on encryption if the address asks for it, all before `deadline`.
    pub(crate) async fn connect(
        address: &Address,
        tls: &Tls,
        deadline: Instant,
    ) -> Result<Self, ConnectFault> {
        let connect = async {
            let zoned = zone::resolve(address.host(), address.port());
            let stream = match zoned.map_err(ConnectFault::Unreachable)? {
                Some(place) => TcpStream::connect(SocketAddr::V6(place)).await,
                None => TcpStream::connect((address.host(), address.port())).await,
            };
            let stream = stream.map_err(ConnectFault::Unreachable)?;
            // Requests are small and answered at once: nothing is won by waiting for more bytes.
            // The send buffer is left to the system, which makes it as large as a long body needs;
            // one that is set is as large as `net.core.wmem_max` at most, and stays so.
            stream.set_nodelay(true).map_err(ConnectFault::Unreachable)?;
            if !address.is_https() {
                return LazyStream::new(stream).map(Self::Plain).map_err(ConnectFault::Unreachable);
            }
            let stream = tls.handshake(address.host(), stream).await.map_err(ConnectFault::Tls)?;
            Ok(Self::Tls(Box::new(stream)))
        };
        timeout_at(deadline, connect).await.unwrap_or_else(|_| {
            let text = "no connection in the time for it";
            Err(ConnectFault::Unreachable(io::Error::new(io::ErrorKind::TimedOut, text)))
        })
    }
}

impl Socket {
    /// Sends a few bytes, all of them at once or none; `false` if that cannot be.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Plain(stream) => stream.try_write(bytes).is_ok_and(|sent| sent == bytes.len()),
            // What is encrypted is sent in records, which have to be seen to their end.
            Self::Tls(_) => false,
        }
    }

    /// Reads what has arrived, if anything has.
    pub(crate) fn try_receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.try_read(buffer),
            Self::Tls(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
