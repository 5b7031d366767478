//! Streams that are registered with a runtime only while a task waits for them.
//!
//! A runtime's own stream is registered with its reactor from beginning to end: every byte that
//! arrives wakes one of the runtime's threads, even if the caller has waited for it in place (see
//! [`busy_poll`]). On a machine whose cores are busy that costs as much again as the call.

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

use crate::busy_poll;

/// How much is read at a time: room for it is made by writing zeros.
const READ_LEN_MAX: usize = 64 << 10;

/// A kind of stream that can be registered with a runtime's reactor.
pub trait Stream: AsFd + Debug + Sized + Unpin {
    /// The stream while it is registered.
    type Registered: AsyncRead + AsyncWrite + Debug + Unpin;

    /// Registers the stream with the reactor of the current runtime.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    fn register(self) -> io::Result<Self::Registered>;

    /// Takes the stream from its reactor.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    fn deregister(registered: Self::Registered) -> io::Result<Self>;

    /// Reads what has arrived.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Sends what can be sent at once.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Sends what can be sent at once of several slices.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Closes the sending half.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    fn end_writing(&self) -> io::Result<()>;
}

macro_rules! stream {
    ($stream:ty, $registered:ty) => {
        impl Stream for $stream {
            type Registered = $registered;

            fn register(self) -> io::Result<$registered> {
                <$registered>::from_std(self)
            }

            fn deregister(registered: $registered) -> io::Result<Self> {
                registered.into_std()
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

/// Stream that is registered with a runtime's reactor only while a task has to wait for it. It does
/// not block.
#[derive(Debug)]
pub struct LazyStream<S: Stream = TcpStream>(Option<State<S>>);

#[derive(Debug)]
enum State<S: Stream> {
    Plain(S),
    Registered(S::Registered),
}

/// Outcome of an attempt without the reactor.
enum Attempt<'a, S: Stream, T> {
    Done(io::Result<T>),
    /// It would block: the reactor wakes the task when it does not.
    Wait(&'a mut S::Registered),
    /// It would block, and no task waits for it.
    Later,
}

impl<S: Stream> LazyStream<S> {
    /// Takes a connected stream from its reactor.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn new(stream: S::Registered) -> io::Result<Self> {
        Ok(Self(Some(State::Plain(S::deregister(stream)?))))
    }

    /// Sends bytes if they can be sent at once; how many were.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.at_once(|stream| stream.write(bytes))
    }

    /// Reads what has arrived, if anything has.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.at_once(|stream| stream.read(buffer))
    }

    /// Does something with the stream, waiting for it as long as this thread spins.
    fn attempt<T>(
        &mut self,
        events: PollFlags,
        mut io: impl FnMut(&S) -> io::Result<T>,
    ) -> Attempt<'_, S, T> {
        if busy_poll::is_spinning()
            && let Err(error) = self.deregister()
        {
            return Attempt::Done(Err(error));
        }
        while let Some(State::Plain(stream)) = &self.0 {
            match io(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                done => return Attempt::Done(done),
            }
            if busy_poll::is_trying() {
                return Attempt::Later;
            }
            if !busy_poll::wait(stream.as_fd(), events)
                && let Err(error) = self.register()
            {
                return Attempt::Done(Err(error));
            }
        }
        match &mut self.0 {
            Some(State::Registered(stream)) => Attempt::Wait(stream),
            _ => Attempt::Done(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Registers the stream. If the reactor refuses, there is none any more.
    fn register(&mut self) -> io::Result<()> {
        self.0 = match self.0.take() {
            Some(State::Plain(stream)) => Some(State::Registered(stream.register()?)),
            state => state,
        };
        Ok(())
    }

    fn deregister(&mut self) -> io::Result<()> {
        self.0 = match self.0.take() {
            Some(State::Registered(stream)) => Some(State::Plain(S::deregister(stream)?)),
            state => state,
        };
        Ok(())
    }

    /// Does a read or a write that needs no wait.
    fn at_once<T>(&mut self, io: impl FnOnce(&S) -> io::Result<T>) -> io::Result<T> {
        self.deregister()?;
        match &self.0 {
            Some(State::Plain(stream)) => io(stream),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl<S: Stream> AsyncRead for LazyStream<S> {
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

impl<S: Stream> AsyncWrite for LazyStream<S> {
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
