//! Connection on which large values go in parts, from and into memory that is there.
//!
//! The library copies a command twice before it writes it, and a value as often before it delivers it, into memory
//! that is new. So large values have connections of their own, which know as much of the protocol as that takes:
//! answers of one line, and values.

use std::{io, str, sync::Arc};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use redis::{Cmd, RedisError, Value};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{answer::Answer, call::Call, fetch::Fetch};
use crate::{
    chunks::{CHUNK_LEN, Chunks},
    location::Server,
};

/// The longest line, in bytes. Errors of a server are shorter.
const LINE_LEN_MAX: usize = 16 << 10;

/// Bytes of a line that are read at a time: few, since those of a value behind it are copied.
const LINE_READ_LEN: usize = 64;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Connection to a server. After an error it is of no more use.
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
        let Some(config) = tls else { return Ok(Self::over(tcp)) };
        let name = ServerName::try_from(server.host.clone()).map_err(io::Error::other)?;
        Ok(Self::over(TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?))
    }

    fn over(socket: impl Socket + 'static) -> Self {
        Self { socket: Box::new(socket), came: BytesMut::new() }
    }

    /// Makes a call and waits for its answer.
    pub(super) async fn call(&mut self, call: Call<'_>) -> io::Result<Answer> {
        match call {
            Call::Query(_, command) => self.query(command).await.map(Answer::Value),
            Call::Store(set) => {
                self.send(set.parts()).await?;
                read_line(&self.line().await?).map(Answer::Value)
            }
            Call::Fetch(_, fetch) => self.fetch(fetch).await,
        }
    }

    /// Sends a command of the library and waits for its answer, of one line.
    pub(super) async fn query(&mut self, command: &Cmd) -> io::Result<Value> {
        self.send(command.get_packed_command().as_slice()).await?;
        read_line(&self.line().await?)
    }

    /// Whether nothing came behind the last answer, so that the next one is that of the next call.
    pub(super) fn is_at_rest(&self) -> bool {
        self.came.is_empty()
    }

    async fn fetch(&mut self, fetch: &Fetch) -> io::Result<Answer> {
        self.send(fetch.command().get_packed_command().as_slice()).await?;
        let line = self.line().await?;
        match value_len(&line) {
            Some(len) if len <= fetch.len() => {
                self.value(len, fetch.chunks()).await.map(Answer::Parts)
            }
            Some(_) => Err(io::Error::other("a value that is longer than what was asked for")),
            None => read_line(&line).map(Answer::Value),
        }
    }

    async fn send(&mut self, mut command: impl Buf) -> io::Result<()> {
        self.socket.write_all_buf(&mut command).await?;
        self.socket.flush().await
    }

    /// The next line, with its end.
    async fn line(&mut self) -> io::Result<BytesMut> {
        loop {
            if let Some(end) = self.came.windows(2).position(|two| two == b"\r\n") {
                return Ok(self.came.split_to(end + 2));
            }
            if self.came.len() > LINE_LEN_MAX {
                return Err(io::Error::other("an answer that is too long"));
            }
            self.came.reserve(LINE_READ_LEN);
            let mut few = (&mut self.came).limit(LINE_READ_LEN);
            if self.socket.read_buf(&mut few).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The bytes of a value, behind the line with its length.
    async fn value(&mut self, len: usize, chunks: &Chunks) -> io::Result<Vec<Bytes>> {
        let mut parts = Vec::with_capacity(len.div_ceil(CHUNK_LEN));
        for from in (0..len).step_by(CHUNK_LEN) {
            let mut chunk = chunks.take((len - from).min(CHUNK_LEN));
            self.fill(chunk.as_mut()).await?;
            parts.push(chunk.into());
        }
        let mut end = [0; 2];
        self.fill(&mut end).await?;
        if end != *b"\r\n" {
            return Err(io::Error::other("a value that does not end where it should"));
        }
        Ok(parts)
    }

    /// Fills memory with the next bytes.
    async fn fill(&mut self, memory: &mut [u8]) -> io::Result<()> {
        let (start, rest) = memory.split_at_mut(self.came.len().min(memory.len()));
        self.came.copy_to_slice(start);
        self.socket.read_exact(rest).await?;
        Ok(())
    }
}

/// Reads an answer of one line.
fn read_line(line: &[u8]) -> io::Result<Value> {
    redis::parse_redis_value(line).map_err(|error: RedisError| io::Error::other(error))
}

/// Length of the value behind a line; `None` if none follows.
fn value_len(line: &[u8]) -> Option<usize> {
    let digits = line.strip_prefix(b"$")?.strip_suffix(b"\r\n")?;
    let digits = str::from_utf8(digits).ok()?;
    // Numbers of this type may have a sign as well.
    digits.parse().ok().filter(|_| digits.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio::io::{join, sink};

    use super::*;
    use crate::valkey::call::Purpose;

    /// Answer to the call for a value of at most `max` bytes that comes in two pieces, and then the end.
    async fn fetch(first: &[u8], rest: &[u8], max: usize) -> io::Result<(Answer, bool)> {
        let [first, rest] = [first, rest].map(|bytes| Cursor::new(bytes.to_vec()));
        let pieces = AsyncReadExt::chain(first, rest);
        let mut stream = Stream::over(join(pieces, sink()));
        let fetch = Fetch::new("name", max, &Chunks::default());
        let answer = stream.call(Call::Fetch(Purpose::Transfer, &fetch)).await?;
        Ok((answer, stream.is_at_rest()))
    }

    /// The same, all of which comes at once.
    async fn answer(bytes: &[u8], max: usize) -> Result<Answer, String> {
        match fetch(bytes, b"", max).await {
            Ok((answer, is_at_rest)) => {
                assert!(is_at_rest);
                Ok(answer)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn value(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    fn bulk(value: &[u8]) -> Vec<u8> {
        [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
    }

    #[tokio::test]
    async fn a_value_is_read_whole_wherever_its_bytes_are_split() {
        for value in [&b"x"[..], b"\r\n", b"$3\r\nabc\r\n", &value(200)] {
            let bytes = bulk(value);
            for at in 0..=bytes.len() {
                let (first, rest) = bytes.split_at(at);
                let (answer, is_at_rest) = fetch(first, rest, value.len()).await.unwrap();
                let Answer::Parts(parts) = answer else { panic!("{answer:?}") };
                assert_eq!((parts.concat(), is_at_rest), (value.to_vec(), true), "split at {at}");
            }
        }
    }

    #[tokio::test]
    async fn a_value_is_in_as_many_chunks_as_it_fills() {
        for (len, chunks) in [(1, 1), (CHUNK_LEN, 1), (CHUNK_LEN + 1, 2), (3 * CHUNK_LEN - 1, 3)] {
            let value = value(len);
            let answer = answer(&bulk(&value), 3 * CHUNK_LEN).await.unwrap();
            let Answer::Parts(parts) = answer else { panic!("{answer:?}") };
            assert_eq!((parts.len(), parts.concat() == value), (chunks, true), "{len} bytes");
        }
    }

    #[tokio::test]
    async fn answers_without_a_value_are_those_of_the_library() {
        let moved = redis::parse_redis_value(b"-MOVED 7 127.0.0.1:6380\r\n").unwrap();
        assert!(matches!(moved, Value::ServerError(_)));
        let expected = [
            (&b"$0\r\n\r\n"[..], Answer::Parts(Vec::new())),
            (b"$-1\r\n", Answer::Value(Value::Nil)),
            (b"+OK\r\n", Answer::Value(Value::Okay)),
            (b"-MOVED 7 127.0.0.1:6380\r\n", Answer::Value(moved)),
        ];
        for (bytes, expected) in expected {
            for at in 0..=bytes.len() {
                let (first, rest) = bytes.split_at(at);
                assert_eq!(fetch(first, rest, 10).await.unwrap(), (expected.clone(), true));
            }
        }
    }

    #[tokio::test]
    async fn a_value_is_no_longer_than_what_was_asked_for() {
        assert!(answer(b"$3\r\nabc\r\n", 3).await.is_ok());
        for bytes in [&b"$4\r\nabcd\r\n"[..], b"$18446744073709551615\r\n"] {
            let error = answer(bytes, 3).await.unwrap_err();
            assert_eq!(error, "a value that is longer than what was asked for");
        }
    }

    #[tokio::test]
    async fn no_length_is_guessed() {
        for bytes in
            [&b"$\r\n"[..], b"$+3\r\nabc\r\n", b"$3 \r\nabc\r\n", b"$18446744073709551616\r\n"]
        {
            answer(bytes, 3).await.unwrap_err();
        }
        let error = answer(b"$3\r\nabcd\r\n", 3).await.unwrap_err();
        assert_eq!(error, "a value that does not end where it should");
        let error = answer(&b"x".repeat(2 * LINE_LEN_MAX), 3).await.unwrap_err();
        assert_eq!(error, "an answer that is too long");
    }

    #[tokio::test]
    async fn an_end_in_the_middle_is_an_error() {
        let bytes = bulk(b"abc");
        for len in 0..bytes.len() {
            let error = fetch(&bytes[..len], b"", 3).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{len} bytes");
        }
    }

    #[tokio::test]
    async fn bytes_behind_an_answer_are_noticed() {
        for bytes in [&b"+OK\r\n+OK\r\n"[..], b"$3\r\nabc\r\n$"] {
            let (_, is_at_rest) = fetch(bytes, b"", 3).await.unwrap();
            assert!(!is_at_rest);
        }
    }
}
