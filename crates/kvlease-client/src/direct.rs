//! A stream that a runtime watches only while somebody waits for it there.
//!
//! A runtime's own stream is watched from its beginning to its end: whatever arrives wakes one of
//! the runtime's threads, even if the caller has waited for it in place (see
//! [`patience`]). On a machine whose cores are busy that costs as much again as
//! the call.

use std::{
    fmt::Debug,
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, TcpStream},
    os::{fd::AsFd, unix::net::UnixStream},
    pin::Pin,
    task::{Context, Poll},
};

use rustix::event::PollFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::patience;

/// How much is read at a time: room for it is made by writing zeros.
const READ_LEN_MAX: usize = 64 << 10;

/// A kind of stream that a runtime can watch.
pub(crate) trait Stream: AsFd + Debug + Sized + Unpin {
    /// The stream while a runtime watches it.
    type Watched: AsyncRead + AsyncWrite + Debug + Unpin;

    fn watch(self) -> io::Result<Self::Watched>;
    fn unwatch(watched: Self::Watched) -> io::Result<Self>;
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    fn end_writing(&self) -> io::Result<()>;
}

macro_rules! stream {
    ($stream:ty, $watched:ty) => {
        impl Stream for $stream {
            type Watched = $watched;

            fn watch(self) -> io::Result<$watched> {
                <$watched>::from_std(self)
            }

            fn unwatch(watched: $watched) -> io::Result<Self> {
                watched.into_std()
            }

            fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                Read::read(&mut &*self, buffer)
            }

            fn write(&self, bytes: &[u8]) -> io::Result<usize> {
                Write::write(&mut &*self, bytes)
            }

            fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                Write::write_vectored(&mut &*self, slices)
            }

            fn end_writing(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }
    };
}

stream!(TcpStream, tokio::net::TcpStream);
stream!(UnixStream, tokio::net::UnixStream);

/// The stream, which does not block.
#[derive(Debug)]
pub(crate) struct Direct<S: Stream = TcpStream>(Option<State<S>>);

#[derive(Debug)]
enum State<S: Stream> {
    Unwatched(S),
    Watched(S::Watched),
}

/// What came of an attempt without the runtime.
enum Attempt<'a, S: Stream, T> {
    Done(io::Result<T>),
    /// It would block: the runtime will tell when it does not.
    Wait(&'a mut S::Watched),
    /// It would block, and nobody waits for it.
    Later,
}

impl<S: Stream> Direct<S> {
    /// Takes a connected stream from the runtime.
    pub(crate) fn new(stream: S::Watched) -> io::Result<Self> {
        Ok(Self(Some(State::Unwatched(S::unwatch(stream)?))))
    }

    /// Sends bytes if they can be sent at once; how many were.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.at_once(|stream| stream.write(bytes))
    }

    /// Reads what has arrived, if anything has.
    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.at_once(|stream| stream.read(buffer))
    }

    /// Does something with the stream, waiting for it as long as this thread's patience lasts.
    fn attempt<T>(
        &mut self,
        events: PollFlags,
        mut io: impl FnMut(&S) -> io::Result<T>,
    ) -> Attempt<'_, S, T> {
        if patience::is_had()
            && let Err(error) = self.unwatch()
        {
            return Attempt::Done(Err(error));
        }
        while let Some(State::Unwatched(stream)) = &self.0 {
            match io(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                done => return Attempt::Done(done),
            }
            if patience::is_glance() {
                return Attempt::Later;
            }
            if !patience::wait(stream.as_fd(), events)
                && let Err(error) = self.watch()
            {
                return Attempt::Done(Err(error));
            }
        }
        match &mut self.0 {
            Some(State::Watched(stream)) => Attempt::Wait(stream),
            _ => Attempt::Done(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Has the runtime watch the stream. If it refuses, there is none any more.
    fn watch(&mut self) -> io::Result<()> {
        self.0 = match self.0.take() {
            Some(State::Unwatched(stream)) => Some(State::Watched(stream.watch()?)),
            state => state,
        };
        Ok(())
    }

    fn unwatch(&mut self) -> io::Result<()> {
        self.0 = match self.0.take() {
            Some(State::Watched(stream)) => Some(State::Unwatched(S::unwatch(stream)?)),
            state => state,
        };
        Ok(())
    }

    /// What the stream can do at once.
    fn at_once<T>(&mut self, io: impl FnOnce(&S) -> io::Result<T>) -> io::Result<T> {
        self.unwatch()?;
        match &self.0 {
            Some(State::Unwatched(stream)) => io(stream),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl<S: Stream> AsyncRead for Direct<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining().min(READ_LEN_MAX);
        let unfilled = buffer.initialize_unfilled_to(room);
        match self.get_mut().attempt(PollFlags::IN, |stream| stream.read(unfilled)) {
            Attempt::Done(read) => {
                buffer.advance(read?);
                Poll::Ready(Ok(()))
            }
            Attempt::Wait(stream) => Pin::new(stream).poll_read(context, buffer),
            Attempt::Later => Poll::Pending,
        }
    }
}

impl<S: Stream> AsyncWrite for Direct<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut().attempt(PollFlags::OUT, |stream| stream.write(bytes)) {
            Attempt::Done(written) => Poll::Ready(written),
            Attempt::Wait(stream) => Pin::new(stream).poll_write(context, bytes),
            Attempt::Later => Poll::Pending,
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = |stream: &S| stream.write_vectored(slices);
        match self.get_mut().attempt(PollFlags::OUT, write) {
            Attempt::Done(written) => Poll::Ready(written),
            Attempt::Wait(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Attempt::Later => Poll::Pending,
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = |stream: &S| stream.end_writing();
        match self.get_mut().attempt(PollFlags::OUT, shutdown) {
            Attempt::Done(done) => Poll::Ready(done),
            Attempt::Wait(stream) => Pin::new(stream).poll_shutdown(context),
            Attempt::Later => Poll::Pending,
        }
    }
}
