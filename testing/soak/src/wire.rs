//! HTTP by hand: for requests that no well-behaved client would send, and in the order and at the
//! moment that a drill wants.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use kvlease_client::encode;

/// How long a reply may take before the daemon counts as stuck.
pub const REPLY_WITHIN: Duration = Duration::from_secs(60);

/// The most bytes of a reply's body: more is no reply of this daemon.
const BODY_LEN_MAX: u64 = 1 << 30;

/// A kept-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// A reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, REPLY_WITHIN)?;
        stream.set_read_timeout(Some(REPLY_WITHIN))?;
        stream.set_write_timeout(Some(REPLY_WITHIN))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends the head of a request whose body is of `len` bytes, and not the body.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn send_head(&mut self, method: &str, path: &str, len: usize) -> io::Result<()> {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: soak\r\nContent-Length: {len}\r\n\r\n");
        self.send(head.as_bytes())
    }

    /// Sends a request and takes in its reply.
    ///
    /// # Errors
    ///
    /// What the system says, and [`io::ErrorKind::InvalidData`] if the reply is no HTTP.
    pub fn call(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Reply> {
        self.send_head(method, path, body.len())?;
        self.send(body)?;
        self.reply(method == "HEAD")
    }

    /// Takes in the next reply; one to a `HEAD` has no body.
    ///
    /// # Errors
    ///
    /// As for [`Self::call`].
    pub fn reply(&mut self, to_head: bool) -> io::Result<Reply> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| no_http(&status_line))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| no_http(&line))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut reply = Reply { status, headers, body: Vec::new() };
        let len = reply.header("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
        if len > BODY_LEN_MAX {
            return Err(no_http(&format!("content-length {len}")));
        }
        if !to_head {
            reply.body = vec![0; len as usize];
            self.stream.read_exact(&mut reply.body)?;
        }
        Ok(reply)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        Ok(line.trim_end().to_owned())
    }
}

/// The path of an object.
pub fn object(bucket: &str, key: &str) -> String {
    format!("/v1/kv/{}/{}", encode(bucket), encode(key))
}

fn no_http(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the reply is no HTTP, line=`{line}`"))
}
