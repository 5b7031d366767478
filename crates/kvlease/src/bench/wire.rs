//! The cheapest possible client: one blocking socket, one request at a time.
//!
//! It knows just enough of HTTP for the replies of a daemon that says how long they are.

use std::{
    io::{self, IoSlice, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use kvlease_client::{Address, SOCKET_HEADER};
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Status};

/// The most time of one read or write.
const STALL_MAX: Duration = Duration::from_secs(60);

/// The longest head of a reply.
const HEAD_LEN_MAX: usize = 64 << 10;

/// A kept-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    /// The most time of one read or write.
    limit: Duration,
    reply: Vec<u8>,
}

/// The reply to the last request.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: &Address) -> io::Result<Self> {
        Self::open_within(address, STALL_MAX)
    }

    /// Connects, with a limit for the connection and for each read and write.
    pub(super) fn open_within(address: &Address, limit: Duration) -> io::Result<Self> {
        let stream = connect(address, limit)
            .map_err(|error| io::Error::new(error.kind(), format!("{error}, url=`{address}`")))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        let host = address.to_string().replacen("http://", "", 1);
        Ok(Self { stream, host, limit, reply: Vec::new() })
    }

    /// A request without a body.
    pub(crate) fn call(&mut self, method: &str, path: &str) -> io::Result<Reply<'_>> {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.stream.write_all(head.as_bytes())?;
        self.read_reply(method == "HEAD")
    }

    /// A request without a body that must succeed with JSON.
    pub(crate) fn json<T: DeserializeOwned>(&mut self, method: &str, path: &str) -> io::Result<T> {
        let reply = self.call(method, path)?;
        expect(reply.status, 200, method, path)?;
        Ok(serde_json::from_slice(reply.body)?)
    }

    /// Path of the fast lane's socket, from the answer to a request for this object.
    pub(super) fn socket(&mut self, path: &str) -> io::Result<Option<PathBuf>> {
        expect(self.call("HEAD", path)?.status, 200, "HEAD", path)?;
        let head = self.reply.split(|byte| *byte == b'\n').take_while(|line| line.len() > 1);
        let lines = head.filter_map(|line| std::str::from_utf8(line).ok());
        let sockets = lines.filter_map(|line| header(line, SOCKET_HEADER));
        Ok(sockets.map(PathBuf::from).next())
    }

    /// Stores an object: head and body leave with one system call, or as few as the socket takes.
    pub(super) fn put(&mut self, path: &str, body: &[u8]) -> io::Result<()> {
        let status = self.try_put(path, body)?;
        expect(status, 200, "PUT", path)
    }

    /// As [`put`](Self::put), and returns the status, whatever it is.
    pub(crate) fn try_put(&mut self, path: &str, body: &[u8]) -> io::Result<u16> {
        let len = body.len();
        let host = &self.host;
        let head = format!("PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len}\r\n\r\n");
        let head = head.as_bytes();
        let sent = self.stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)])?;
        match sent.checked_sub(head.len()) {
            Some(sent) => self.stream.write_all(&body[sent..])?,
            None => {
                self.stream.write_all(&head[sent..])?;
                self.stream.write_all(body)?;
            }
        }
        Ok(self.read_reply(false)?.status)
    }

    fn read_reply(&mut self, bodiless: bool) -> io::Result<Reply<'_>> {
        self.reply.clear();
        let head_len = loop {
            if let Some(at) = find(&self.reply, b"\r\n\r\n") {
                break at + 4;
            }
            if self.reply.len() > HEAD_LEN_MAX {
                return Err(malformed("the head of the reply has no end"));
            }
            self.read_more()?;
        };
        let head = std::str::from_utf8(&self.reply[..head_len])
            .map_err(|_| malformed("the head of the reply is not UTF-8"))?;
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| malformed("the reply has no status"))?;
        let body_len = if bodiless { 0 } else { content_length(head) };
        while self.reply.len() < head_len + body_len {
            self.read_more()?;
        }
        Ok(Reply { status, body: &self.reply[head_len..head_len + body_len] })
    }

    /// Says what a read that took too long waited for.
    fn explain(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                let (limit, host) = (self.limit.as_secs(), &self.host);
                let text = format!("waited {limit} s for an answer, url=`http://{host}`");
                io::Error::new(io::ErrorKind::TimedOut, text)
            }
            _ => error,
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece).map_err(|error| self.explain(error))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            len => {
                self.reply.extend_from_slice(&piece[..len]);
                Ok(())
            }
        }
    }
}

/// Connects to the first address of the host that accepts.
fn connect(address: &Address, limit: Duration) -> io::Result<TcpStream> {
    let mut outcome = Err(io::ErrorKind::NotFound.into());
    for place in (address.host(), address.port()).to_socket_addrs()? {
        outcome = TcpStream::connect_timeout(&place, limit);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Turns a failed request into a failure of the benchmark, for `map_err`.
pub(crate) fn failed(error: io::Error) -> Failure {
    Failure::new(
        Status::Unavailable,
        format!("the daemon cannot be measured: check that it runs, {error}"),
    )
}

/// Fails unless the daemon answered with this status.
pub(super) fn expect(status: u16, expected: u16, method: &str, path: &str) -> io::Result<()> {
    if status == expected {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "unexpected reply, status=`{status}` expected=`{expected}` request=`{method} {path}`"
    )))
}

fn content_length(head: &str) -> usize {
    let line = head.split('\n').find_map(|line| header(line, "content-length"));
    line.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// The value of a line of a head, if it is that of this header.
fn header<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (named, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(':')?;
    named.eq_ignore_ascii_case(name).then(|| value.trim())
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, pattern)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_found_in_any_case_and_nowhere_else() {
        let head = "HTTP/1.1 200 OK\r\ndate: x\r\nContent-Length: 17\r\n\r\n";
        assert_eq!(content_length(head), 17);
        assert_eq!(content_length("HTTP/1.1 200 OK\r\nx-content-length: 3\r\n\r\n"), 0);
    }
}
