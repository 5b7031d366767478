//! The connection of a test: an error fails it.

use std::{
    io::{BufRead, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr},
    time::Duration,
};

use super::{REPLY_WITHIN, Reply, Wire, connect_with_small_window};

/// Piece of a body: the stock clients send as much at a time.
const PIECE: usize = 64 << 10;

/// # Panics
///
/// All methods: if the connection breaks, or if the daemon sends nothing in time.
#[track_caller]
fn sound<T>(outcome: std::io::Result<T>) -> T {
    outcome.unwrap_or_else(|error| panic!("the connection to the daemon failed: {error}"))
}

impl Wire {
    /// New connection.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        sound(Self::try_open(address))
    }

    /// The same with a small receive buffer ([`connect_with_small_window`]).
    #[track_caller]
    pub fn open_with_small_window(address: SocketAddr) -> Self {
        let stream = connect_with_small_window(address);
        sound(stream.and_then(|stream| Self::limited(stream, REPLY_WITHIN)))
    }

    /// Sets the limit of a read in the place of [`REPLY_WITHIN`].
    pub fn limit(&self, limit: Duration) {
        sound(self.stream.get_ref().set_read_timeout(Some(limit)));
    }

    /// True if the daemon sends nothing within `wait`, and does not close.
    pub fn is_silent_for(&mut self, wait: Duration) -> bool {
        self.limit(wait);
        let silent = self.stream.fill_buf().is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
        self.limit(REPLY_WITHIN);
        silent
    }

    /// Closes the sending half.
    pub fn finish(&self) {
        sound(self.stream.get_ref().shutdown(Shutdown::Write));
    }
}

/// # Panics
///
/// All methods: if the connection breaks, or if the daemon sends nothing in time.
impl<S: Read + Write> Wire<S> {
    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        sound(self.try_send(bytes));
    }

    /// Reply to a request without a body and without `Content-Length`.
    #[track_caller]
    pub fn call(&mut self, method: &str, target: &str) -> Reply {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        if method == "HEAD" { self.reply_to_head() } else { self.reply() }
    }

    /// Sends the head of a `PUT` with `Content-Length`.
    #[track_caller]
    pub fn begin_put(&mut self, target: &str, len: usize) {
        sound(self.try_send_head("PUT", target, len));
    }

    /// Sends the head of a `PUT` with a chunked body.
    #[track_caller]
    pub fn begin_chunked_put(&mut self, target: &str) {
        let chunked = "Transfer-Encoding: chunked";
        self.send(format!("PUT {target} HTTP/1.1\r\nHost: localhost\r\n{chunked}\r\n\r\n"));
    }

    /// Sends a chunk.
    #[track_caller]
    pub fn send_chunk(&mut self, bytes: &[u8]) {
        self.send(format!("{:x}\r\n", bytes.len()));
        self.send(bytes);
        self.send("\r\n");
    }

    /// Reply to a `PUT` in pieces, as the stock clients send it.
    #[track_caller]
    pub fn put(&mut self, target: &str, bytes: &[u8]) -> Reply {
        self.begin_put(target, bytes.len());
        for piece in bytes.chunks(PIECE) {
            self.send(piece);
        }
        self.reply()
    }

    /// Next reply, whole.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        sound(self.try_reply())
    }

    /// Next reply, up to the end of its head.
    #[track_caller]
    pub fn reply_to_head(&mut self) -> Reply {
        sound(self.try_reply_head())
    }

    /// Next bytes, as many as `len`.
    #[track_caller]
    pub fn take(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        sound(self.stream.read_exact(&mut bytes));
        bytes
    }

    /// Everything up to the end of the connection, which has to come.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            received => assert!(received.is_ok(), "the daemon keeps the connection open"),
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        thread,
    };

    use super::*;

    /// Connection whose other end sends these bytes once it has got some, and closes.
    fn answered_by(answer: &'static [u8]) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Wire::open(listener.local_addr().unwrap());
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        thread::spawn(move || {
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(answer).unwrap();
        });
        wire
    }

    #[test]
    fn replies_come_one_after_the_other_and_the_rest_as_it_is() {
        let mut wire = answered_by(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabcde",
        );
        assert!(wire.is_silent_for(Duration::from_millis(1)));
        wire.send("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(wire.reply_to_head().status, 100);
        let reply = wire.reply();
        assert_eq!((reply.status, reply.text().as_str()), (200, "abc"));
        assert_eq!(reply.header("x"), Some("y"));
        assert!(!wire.is_silent_for(Duration::from_millis(1)));
        assert_eq!((wire.take(1), wire.rest()), (b"d".to_vec(), b"e".to_vec()));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for answer in [
            &b"+PONG\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\n",
        ] {
            let mut wire = answered_by(answer);
            let error = wire.try_call("GET", "/", b"");
            assert!(error.is_err(), "{}", String::from_utf8_lossy(answer));
        }
    }
}
