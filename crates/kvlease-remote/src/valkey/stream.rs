//! Connection on which values are sent in parts.
//!
//! The library copies a command twice before it writes it. So large values have connections of their own,
//! which know as much of the protocol as that takes: answers of one line.

use std::{io, sync::Arc};

use bytes::{Buf, BytesMut};
use redis::{Cmd, RedisError, Value};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::location::Server;

/// The longest answer, in bytes. Errors of a server are shorter.
const ANSWER_LEN_MAX: usize = 16 << 10;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Connection to a server.
pub(super) struct Stream {
    socket: Box<dyn Socket>,
    /// Bytes of answers that came and were not read yet.
    came: BytesMut,
}

impl Stream {
    /// Connects, encrypted if there is a configuration for it.
    pub(super) async fn open(server: &Server, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let tcp = TcpStream::connect((server.host.as_str(), server.port)).await?;
        tcp.set_nodelay(true)?;
        let socket: Box<dyn Socket> = match tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from(server.host.clone()).map_err(io::Error::other)?;
                Box::new(TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?)
            }
        };
        Ok(Self { socket, came: BytesMut::new() })
    }

    /// Sends a command of the library and waits for its answer, of one line.
    pub(super) async fn query(&mut self, command: &Cmd) -> io::Result<Value> {
        self.send(command.get_packed_command().as_slice()).await
    }

    /// Sends a command and waits for its answer, of one line.
    pub(super) async fn send(&mut self, mut command: impl Buf) -> io::Result<Value> {
        self.socket.write_all_buf(&mut command).await?;
        self.socket.flush().await?;
        self.answer().await
    }

    async fn answer(&mut self) -> io::Result<Value> {
        loop {
            if let Some(end) = self.came.windows(2).position(|two| two == b"\r\n") {
                let line = self.came.split_to(end + 2);
                let answer = redis::parse_redis_value(&line);
                return answer.map_err(|error: RedisError| io::Error::other(error));
            }
            if self.came.len() > ANSWER_LEN_MAX {
                return Err(io::Error::other("an answer that is too long"));
            }
            if self.socket.read_buf(&mut self.came).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
