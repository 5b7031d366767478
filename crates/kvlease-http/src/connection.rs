//! One connection to the daemon, and HTTP/1.1 on it.
//!
//! A connection belongs to the call that uses it, which itself writes the request and reads the
//! answer: no task stands between the call and the socket. That is most of what a small call costs
//! beyond its system calls, and it is the reason for not using a general HTTP client here. It also
//! knows exactly how far a call came when it broke, which decides whether it may be tried again.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use kvlease_io::try_now;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::Instant,
};

use crate::{
    counters::Counting,
    framing::{Framing, Step},
    head::{self, Head},
    malformed::Malformed,
    operation::Operation,
    pending_response::PendingResponse,
    request::Request,
    socket::Socket,
    stall::{Stall, Stalled},
};

/// How long a connection may have been idle and still be used. Daemons close idle connections
/// after a longer time, and a request must not run into that.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// Room for an answer without an object: most are shorter.
const READ_LEN_MIN: usize = 4 << 10;

/// How much of a pending response is read at a time: it has hardly a body.
const PENDING_READ_LEN: usize = 1 << 10;

/// How much of an object is read at a time.
const READ_LEN_MAX: usize = 256 << 10;

/// How many pieces of a body are written at a time, if that many are in memory. A system call for
/// each piece of the usual length costs the client half as much again.
const PIECES_PER_WRITE: usize = 16;

/// A connection that is either in use by one call or idle.
#[derive(Debug)]
pub(crate) struct Connection<S = Socket> {
    socket: S,
    pub(crate) arrived: BytesMut,
    /// How much of the answer is to come.
    framing: Framing,
    /// Whether another request may follow once the answer is read.
    keeps_alive: bool,
    used: Instant,
    /// The response to a release that is not read yet.
    pending: Option<PendingResponse>,
}

/// Reason why a request has no answer, or not all of it.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nothing of the request was sent, and the request is as it was.
    Unsent(io::Error),
    /// It was sent, at least in part, and no byte of an answer arrived.
    Unanswered(io::Error),
    /// The answer ended early.
    Cut(io::Error),
    /// The bytes that arrived are no answer.
    Malformed(Malformed),
    /// The source of the body failed.
    Source(io::Error),
    /// The daemon took no byte and sent none.
    Stalled(Stalled),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection over a new socket.
    pub(crate) fn new(socket: S) -> Self {
        Self {
            socket,
            arrived: BytesMut::new(),
            framing: Framing::None,
            keeps_alive: true,
            used: Instant::now(),
            pending: None,
        }
    }

    /// Whether it can be tried for another request.
    pub(crate) fn is_usable(&self) -> bool {
        self.keeps_alive
            && self.framing == Framing::None
            && self.arrived.is_empty()
            && self.used.elapsed() < IDLE_MAX
    }

    /// Sends a request, with pieces of `piece_len` bytes of its body, and reads the head of the
    /// answer. If the answer comes before the body is sent, the rest is not sent.
    ///
    /// Neither the writing nor the wait for the answer may stall for longer than `stall`.
    pub(crate) async fn exchange(
        &mut self,
        request: &mut Request,
        piece_len: usize,
        stall: Option<Duration>,
    ) -> Result<Head, Fault> {
        if self.pending.is_some() {
            self.drain().await.map_err(Fault::Unsent)?;
        }
        self.check_idle().await.map_err(Fault::Unsent)?;
        let (mut sent, mut stall) = (0, Stall::new(stall));
        let written = poll_fn(|context| {
            let mut waits_for_peer = true;
            let step = (piece_len, &mut waits_for_peer);
            let written = self.poll_write(context, request, step, &mut sent);
            if written.is_pending() {
                stall.check(context, sent, waits_for_peer).map_err(WriteFault::Stalled)?;
            }
            written
        })
        .await;
        let answered = stall.apply(self.read_answer(request.operation, written, sent)).await;
        self.used = Instant::now();
        answered.unwrap_or_else(|stalled| Err(Fault::Stalled(stalled)))
    }

    /// Reads the head of the answer to a request that was written, or tells why it was not.
    async fn read_answer(
        &mut self,
        operation: Operation,
        written: Result<(), WriteFault>,
        sent: usize,
    ) -> Result<Head, Fault> {
        match written {
            Err(WriteFault::Source(error)) => Err(Fault::Source(error)),
            Err(WriteFault::Stalled(stalled)) => Err(Fault::Stalled(stalled)),
            Err(WriteFault::Broken(error)) if sent == 0 => Err(Fault::Unsent(error)),
            Err(WriteFault::Broken(error)) => {
                // The daemon may have answered before it closed: that tells more.
                self.keeps_alive = false;
                self.read_head(operation).await.map_err(|fault| match fault {
                    Fault::Unanswered(_) => Fault::Unanswered(error),
                    fault => fault,
                })
            }
            Ok(()) => self.read_head(operation).await,
        }
    }

    /// The next bytes of the answer's body; `None` at its end.
    pub(crate) async fn next_bytes(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            match self.framing.next(&mut self.arrived).map_err(Fault::Malformed)? {
                Step::Bytes(bytes) => return Ok(Some(bytes)),
                Step::End => return Ok(None),
                Step::More => {}
            }
            if self.read().await.map_err(Fault::Cut)? > 0 {
                continue;
            }
            if self.framing != Framing::UntilClose {
                return Err(Fault::Cut(io::ErrorKind::UnexpectedEof.into()));
            }
            (self.framing, self.keeps_alive) = (Framing::None, false);
        }
    }

    /// Reads the pending response to its end, which another request may follow.
    async fn drain(&mut self) -> io::Result<()> {
        while !self.advance()? {
            if self.read().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        match self.keeps_alive {
            true => Ok(()),
            false => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Takes what has arrived of the pending response; whether that was all.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(pending) = &mut self.pending else { return Ok(true) };
        let is_done = pending.advance(&mut self.framing, &mut self.arrived)?;
        self.keeps_alive &= pending.keeps_alive();
        if is_done {
            self.pending = None;
        }
        Ok(is_done)
    }

    /// Fails if the daemon has closed the idle connection, or said something unasked.
    async fn check_idle(&mut self) -> io::Result<()> {
        let arrived = poll_fn(|context| {
            let read = try_now(|| self.poll_read(context));
            Poll::Ready(if read.is_pending() { None } else { Some(read) })
        });
        match arrived.await {
            None => Ok(()),
            Some(Poll::Ready(Err(error))) => Err(error),
            Some(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Writes the whole request, unless an answer arrives before that. Counts what it `sent`, and
    /// tells whether it waits for the peer or for the source of the body.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        request: &mut Request,
        (piece_len, waits_for_peer): (usize, &mut bool),
        sent: &mut usize,
    ) -> Poll<Result<(), WriteFault>> {
        let write_len = piece_len.saturating_mul(PIECES_PER_WRITE);
        loop {
            let head = request.head.as_bytes().get(*sent..).unwrap_or_default();
            let has_body = match request.body.poll_unsent(context, piece_len) {
                Poll::Ready(has_body) => has_body.map_err(WriteFault::Source)?,
                Poll::Pending if head.is_empty() => {
                    *waits_for_peer = false;
                    return self.poll_early(context);
                }
                Poll::Pending => false,
            };
            if head.is_empty() && !has_body {
                return Pin::new(&mut self.socket).poll_flush(context).map_err(WriteFault::Broken);
            }
            let [first, second] =
                if has_body { request.body.unsent(write_len) } else { [[].as_slice(); 2] };
            let socket = Pin::new(&mut self.socket);
            let written = match (head, first, second) {
                // One slice alone is cheaper to send: most requests are one.
                (one, [], []) | ([], one, []) | ([], [], one) => socket.poll_write(context, one),
                slices => {
                    let slices = <[&[u8]; 3]>::from(slices).map(io::IoSlice::new);
                    socket.poll_write_vectored(context, &slices)
                }
            };
            match written {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(WriteFault::Broken(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(len)) => {
                    let of_body = len.saturating_sub(head.len());
                    *sent += len;
                    request.body.advance(of_body);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(WriteFault::Broken(error))),
                Poll::Pending => return self.poll_early(context),
            }
        }
    }

    /// Waits for an answer beside the writing, which then ends.
    fn poll_early(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WriteFault>> {
        let len = ready!(self.poll_read(context)).map_err(WriteFault::Broken)?;
        // What is left of the request will not be sent: no other one can follow.
        self.keeps_alive = false;
        Poll::Ready(match len {
            0 => Err(WriteFault::Broken(io::ErrorKind::ConnectionReset.into())),
            _ => Ok(()),
        })
    }

    async fn read_head(&mut self, operation: Operation) -> Result<Head, Fault> {
        let is_bodiless = operation == Operation::Head;
        loop {
            if !self.arrived.is_empty() {
                let parsed = head::parse(&self.arrived, is_bodiless).map_err(Fault::Malformed)?;
                if let Some((head, len)) = parsed {
                    let _ = self.arrived.split_to(len);
                    self.framing = head.framing;
                    self.keeps_alive &= head.keeps_alive;
                    return Ok(head);
                }
            }
            let error = match self.read().await {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(_) => continue,
                Err(error) => error,
            };
            let is_unanswered = self.arrived.is_empty();
            return Err(if is_unanswered { Fault::Unanswered(error) } else { Fault::Cut(error) });
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.reserve();
        self.socket.read_buf(&mut self.arrived).await
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.reserve();
        let read = std::pin::pin!(self.socket.read_buf(&mut self.arrived));
        read.poll(context)
    }

    fn reserve(&mut self) {
        let wanted = usize::try_from(self.framing.at_least()).unwrap_or(READ_LEN_MAX);
        self.arrived.reserve(wanted.clamp(READ_LEN_MIN, READ_LEN_MAX));
    }
}

impl Connection<Socket> {
    /// Whether a response is still to be read.
    pub(crate) fn has_pending_response(&self) -> bool {
        self.pending.is_some()
    }

    /// Sends a request without a body, whose response is read later; `false` if it cannot be sent
    /// at once, after which the connection is of no more use.
    pub(crate) fn send_unawaited(&mut self, request: &str, counting: &Arc<Counting>) -> bool {
        let sent = self.pending.is_none() && self.socket.try_send(request.as_bytes());
        if sent {
            self.pending = Some(PendingResponse::new(Arc::clone(counting)));
            self.used = Instant::now();
        }
        sent
    }

    /// Reads the pending response as far as it has arrived.
    pub(crate) fn try_drain(&mut self) {
        while self.pending.is_some() {
            let mut bytes = [0; PENDING_READ_LEN];
            let read = match self.socket.try_receive(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(len) if len > 0 => {
                    self.arrived.extend_from_slice(&bytes[..len]);
                    self.advance().map(drop)
                }
                Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => Err(error),
            };
            if read.is_err() {
                self.pending = None;
                self.keeps_alive = false;
            }
        }
    }
}

/// Reason why a request was not written.
enum WriteFault {
    Broken(io::Error),
    Source(io::Error),
    Stalled(Stalled),
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;
    use crate::PutBody;

    /// A socket that is one end of a pipe and notes how long each write was.
    struct Noting {
        pipe: tokio::io::DuplexStream,
        written: Vec<usize>,
    }

    impl AsyncRead for Noting {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.pipe).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Noting {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let len = ready!(Pin::new(&mut self.pipe).poll_write(context, bytes))?;
            self.written.push(len);
            Poll::Ready(Ok(len))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn request(body: impl Into<PutBody>) -> Request {
        Request { operation: Operation::Put, head: "PUT\r\n\r\n".to_owned(), body: body.into() }
    }

    #[tokio::test]
    async fn no_write_is_longer_than_the_pieces_for_it_and_every_byte_arrives() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i >> 3) as u8).collect();
        let (pipe, mut peer) = duplex(1 << 20);
        let mut connection = Connection::new(Noting { pipe, written: Vec::new() });
        peer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut request = request(bytes.clone());
        poll_fn(|context| connection.poll_write(context, &mut request, (100, &mut true), &mut 0))
            .await
            .unwrap_or_else(|_| panic!("not written"));
        let written = &connection.socket.written;
        assert!(written.len() >= 62, "{} writes", written.len());
        assert_eq!(written.iter().max(), Some(&(100 * PIECES_PER_WRITE)));
        let mut arrived = vec![0; bytes.len() + 7];
        peer.read_exact(&mut arrived).await.unwrap();
        assert!(arrived[7..] == bytes);
    }

    #[tokio::test]
    async fn an_answer_that_comes_early_ends_the_sending_and_the_connection() {
        let (socket, mut peer) = duplex(10_000);
        peer.write_all(b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let mut connection = Connection::new(socket);
        // The peer never reads: all of this cannot be sent.
        connection.arrived.clear();
        let mut request = request(vec![1; 100_000]);
        let mut sent = 0;
        let written = poll_fn(|context| {
            connection.poll_write(context, &mut request, (1000, &mut true), &mut sent)
        });
        assert!(written.await.is_ok());
        assert!(sent < 100_000, "{sent}");
        let head = connection.read_head(Operation::Put).await.unwrap();
        assert_eq!(head.status, 409);
        assert!(!connection.is_usable());
    }

    #[tokio::test]
    async fn how_far_a_broken_call_came_is_known() {
        let broken = |answer: &'static [u8]| async move {
            let (socket, mut peer) = duplex(10_000);
            let mut connection = Connection::new(socket);
            let peer = tokio::spawn(async move {
                let mut arrived = [0; 7];
                peer.read_exact(&mut arrived).await.unwrap();
                peer.write_all(answer).await.unwrap();
            });
            let fault = connection.exchange(&mut request(""), 1000, None).await.unwrap_err();
            peer.await.unwrap();
            fault
        };
        assert!(matches!(broken(b"").await, Fault::Unanswered(_)));
        assert!(matches!(broken(b"HTTP/1.1 200").await, Fault::Cut(_)));
        assert!(matches!(broken(b"\0\0").await, Fault::Malformed(_)));
        let (socket, peer) = duplex(10_000);
        drop(peer);
        let fault =
            Connection::new(socket).exchange(&mut request(""), 1000, None).await.unwrap_err();
        assert!(matches!(fault, Fault::Unsent(_)));
    }
}
