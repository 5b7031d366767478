//! A client that sends exactly what a test says. Every read has a limit, so a daemon that hangs
//! fails the test.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use kvlease_api::ErrorBody;
use serde::de::DeserializeOwned;

/// How long one read may take.
const READ_LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Wire {
    stream: TcpStream,
    /// Received and not yet looked at.
    ahead: Vec<u8>,
}

impl Wire {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(READ_LIMIT)).unwrap();
        stream.set_write_timeout(Some(READ_LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, ahead: Vec::new() }
    }

    /// Takes in little at a time: what the daemon sends must wait for the test to read it.
    pub(crate) fn with_small_window(self) -> Self {
        rustix::net::sockopt::set_socket_recv_buffer_size(&self.stream, 16 << 10).unwrap();
        self
    }

    /// A reply that comes later than this fails the test.
    pub(crate) fn limit(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends to a daemon that may have closed already.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// One request without a body, and its reply.
    pub(crate) fn call(&mut self, method: &str, target: &str) -> Reply {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: daemon\r\n\r\n"));
        if method == "HEAD" { self.reply_to_head() } else { self.reply() }
    }

    /// Announces the body of a PUT.
    pub(crate) fn begin_put(&mut self, target: &str, len: usize) {
        let head =
            format!("PUT {target} HTTP/1.1\r\nHost: daemon\r\nContent-Length: {len}\r\n\r\n");
        self.send(head);
    }

    pub(crate) fn begin_chunked_put(&mut self, target: &str) {
        let head =
            format!("PUT {target} HTTP/1.1\r\nHost: daemon\r\nTransfer-Encoding: chunked\r\n\r\n");
        self.send(head);
    }

    pub(crate) fn send_chunk(&mut self, bytes: &[u8]) {
        self.send(format!("{:x}\r\n", bytes.len()));
        self.send(bytes);
        self.send("\r\n");
    }

    /// A PUT in pieces of 64 KiB, as the stock clients send it, and its reply.
    pub(crate) fn put(&mut self, target: &str, bytes: &[u8]) -> Reply {
        self.begin_put(target, bytes.len());
        for piece in bytes.chunks(64 << 10) {
            self.send(piece);
        }
        self.reply()
    }

    /// The next reply, whole.
    pub(crate) fn reply(&mut self) -> Reply {
        let mut reply = self.reply_to_head();
        reply.body = if reply.header("transfer-encoding").is_some() {
            panic!("the daemon knows the length of everything it sends: {reply:?}")
        } else {
            let len = reply.header("content-length").map_or(0, |len| len.parse().unwrap());
            self.take(len)
        };
        reply
    }

    /// The next reply, up to the end of its head.
    pub(crate) fn reply_to_head(&mut self) -> Reply {
        let end = loop {
            match self.ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end,
                None => assert!(self.receive().unwrap() > 0, "closed within a head: {self:?}"),
            }
        };
        let head = String::from_utf8(self.ahead.drain(..end + 4).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        Reply { status, headers: headers.collect(), body: Vec::new() }
    }

    /// Exactly this many bytes.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        while self.ahead.len() < len {
            assert!(self.receive().unwrap() > 0, "closed within a body: {self:?}");
        }
        self.ahead.drain(..len).collect()
    }

    /// Everything up to the end of the connection, which has to come.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.receive() {
                Ok(0) => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                received => assert!(received.is_ok(), "the daemon keeps the connection open"),
            }
        }
        std::mem::take(&mut self.ahead)
    }

    /// Whether the daemon has sent anything, or closed, within `wait`.
    pub(crate) fn is_silent_for(&mut self, wait: Duration) -> bool {
        self.limit(wait);
        let received = self.receive();
        self.limit(READ_LIMIT);
        received.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn receive(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 << 10];
        let received = self.stream.read(&mut buffer)?;
        self.ahead.extend(&buffer[..received]);
        Ok(received)
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.ahead[..self.ahead.len().min(200)];
        write!(f, "{:?}", String::from_utf8_lossy(shown))
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The status and the code of a refusal, whose message must be one line.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let error: ErrorBody = self.json();
        assert!(!error.message.contains('\n') && !error.message.is_empty(), "{error:?}");
        assert_eq!(error.code.status(), self.status, "{error:?}");
        let code = serde_json::to_value(error.code).unwrap();
        (self.status, code.as_str().unwrap().to_owned())
    }
}

/// What [`Reply::refusal`] returns.
pub(crate) fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
