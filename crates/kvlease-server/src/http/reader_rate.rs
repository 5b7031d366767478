//! Least rate of readers: a client that takes its replies more slowly is cut off.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// The least rate of a reader, in bytes a second. Replies that are taken more slowly keep their memory
/// from others for too long.
const RATE_MIN: u64 = 64 << 10;

/// How long a client may keep replies waiting beyond that rate. The kernel takes the bytes of a slow
/// reader in large pieces, and none in between.
const CREDIT_MAX: Duration = Duration::from_secs(30);

/// A socket whose reader has to keep to the least rate. Time in which the socket is full costs credit,
/// and bytes that it takes give some back.
#[derive(Debug)]
pub(super) struct Paced<S> {
    socket: S,
    credit: Duration,
    full: Option<Full>,
}

/// The time since the socket was found full.
#[derive(Debug)]
struct Full {
    since: Instant,
    cut: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    pub(super) const fn new(socket: S) -> Self {
        Self { socket, credit: CREDIT_MAX, full: None }
    }

    /// Counts what a write came to, and ends the connection of a reader without credit.
    fn pace(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(len)) = written {
            let full = self.full.take().map_or(Duration::ZERO, |full| full.since.elapsed());
            let earned = Duration::from_millis((len as u64).saturating_mul(1000) / RATE_MIN);
            self.credit = CREDIT_MAX.min(self.credit.saturating_sub(full) + earned);
        }
        if written.is_ready() {
            return written;
        }
        let full = self.full.get_or_insert_with(|| {
            let since = Instant::now();
            Full { since, cut: Box::pin(sleep_until(since + self.credit)) }
        });
        full.cut.as_mut().poll(cx).map(|()| {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads its replies too slowly"))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.pace(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        this.pace(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::sleep,
    };

    use super::*;

    /// Bytes that the socket holds before it is full.
    const BUFFERED: usize = 64 << 10;

    /// Writes a reply of `len` bytes to a reader that takes `piece` of them after each pause.
    async fn reply(len: usize, piece: usize, pause: Duration) -> io::Result<Duration> {
        let (socket, mut reader) = duplex(BUFFERED);
        let reads = tokio::spawn(async move {
            let mut buffer = vec![0; piece];
            while reader.read_exact(&mut buffer).await.is_ok() {
                sleep(pause).await;
            }
        });
        let (begin, mut paced) = (Instant::now(), Paced::new(socket));
        let written = paced.write_all(&vec![7; len]).await;
        reads.abort();
        written.map(|()| begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_drips_is_cut_off_after_its_credit() {
        let begin = Instant::now();
        let error = reply(512 << 10, 1, Duration::from_secs(29)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begin.elapsed() < 2 * CREDIT_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_below_the_least_rate_is_cut_off_after_its_credit() {
        let below = reply(64 << 20, RATE_MIN as usize / 2, Duration::from_secs(1)).await;
        assert_eq!(below.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_above_the_least_rate_gets_all() {
        let took = reply(64 << 20, 2 * RATE_MIN as usize, Duration::from_secs(1)).await.unwrap();
        assert!(took > 4 * CREDIT_MAX, "{took:?}");
        // In large pieces, between which it takes nothing for nearly as long as it may.
        let pause = CREDIT_MAX - Duration::from_secs(1);
        reply(64 << 20, 2 << 20, pause).await.unwrap();
    }
}
