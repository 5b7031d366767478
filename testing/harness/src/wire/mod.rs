//! HTTP by hand: requests that no well-behaved client sends, in the order and at the moment that a
//! test wants. Every read has a limit, so that a daemon that hangs is an error.
//!
//! The methods with `try_` return errors. All others panic: an error there fails the test.

mod asserting;
mod reply;

pub use reply::{Reply, refused};

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, connect, socket_with,
    sockopt::set_socket_recv_buffer_size,
};

/// Limit of one read or write before the daemon counts as stuck.
pub const REPLY_WITHIN: Duration = Duration::from_secs(60);

/// Receive buffer of a client that takes little at a time, in bytes.
const SMALL_WINDOW: usize = 16 << 10;

/// Longest body of a reply in bytes: more is no reply of this daemon.
const BODY_LEN_MAX: u64 = 1 << 30;

/// Stream of a client with a small receive buffer: most of what the daemon sends has to wait.
///
/// The buffer has its size before the connection is made, which tells the other end a window. Linux
/// drops what was sent into a larger one, and an end whose segments are dropped for its
/// `TCP_USER_TIMEOUT` gives the connection up without a word to this one.
pub fn connect_with_small_window(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_recv_buffer_size(&socket, SMALL_WINDOW)?;
    connect(&socket, &address)?;
    Ok(socket.into())
}

/// Kept-alive connection, in the clear unless it is made of another stream.
#[derive(Debug)]
pub struct Wire<S = TcpStream> {
    stream: BufReader<S>,
}

impl Wire {
    /// New connection.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        Self::try_open_within(address, REPLY_WITHIN)
    }

    /// The same with this limit for the connect and for every read and write.
    pub fn try_open_within(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        Self::limited(TcpStream::connect_timeout(&address, limit)?, limit)
    }

    /// Connection over a stream that has no limits yet.
    fn limited(stream: TcpStream, limit: Duration) -> io::Result<Self> {
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }
}

impl<S: Read + Write> Wire<S> {
    /// Connection over a stream with limits of its own, such as an encrypted one.
    pub fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes as they are.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends the head of a request with a body of `len` bytes, and not the body.
    pub fn try_send_head(&mut self, method: &str, target: &str, len: usize) -> io::Result<()> {
        self.try_send(format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n\r\n"
        ))
    }

    /// Reply to a request with this body.
    ///
    /// # Errors
    ///
    /// Those of the system, and [`ErrorKind::InvalidData`] if the reply is not HTTP.
    pub fn try_call(&mut self, method: &str, target: &str, body: &[u8]) -> io::Result<Reply> {
        self.try_send_head(method, target, body.len())?;
        self.try_send(body)?;
        if method == "HEAD" { self.try_reply_head() } else { self.try_reply() }
    }

    /// Next reply, whole.
    pub fn try_reply(&mut self) -> io::Result<Reply> {
        let mut reply = self.try_reply_head()?;
        // The daemon knows the length of everything that it sends.
        if reply.header("transfer-encoding").is_some() {
            return Err(no_http("a transfer-encoding"));
        }
        let len = reply.header("content-length").unwrap_or("0");
        let len = len.parse::<u64>().ok().filter(|len| *len <= BODY_LEN_MAX);
        let len = len.ok_or_else(|| no_http("a content-length out of range"))?;
        reply.body = vec![0; len as usize];
        self.stream.read_exact(&mut reply.body)?;
        Ok(reply)
    }

    /// Next reply, up to the end of its head: one to a `HEAD`, or an interim one.
    pub fn try_reply_head(&mut self) -> io::Result<Reply> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| no_http(&status_line))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Reply { status, headers, body: Vec::new() });
            }
            let (name, value) = line.split_once(':').ok_or_else(|| no_http(&line))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            let closed = "the daemon closed the connection within a head";
            return Err(io::Error::new(ErrorKind::UnexpectedEof, closed));
        }
        Ok(line.trim_end().to_owned())
    }
}

fn no_http(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the reply is no HTTP, found=`{what}`"))
}
