//! Pieces of a reply that are made while it is sent.
//!
//! The task of the connection makes them itself: no task beside it is woken for a piece. The maker waits
//! for room before it looks for what to tell next. So a client that takes nothing costs nothing: its
//! maker waits for the socket alone, however much happens meanwhile.

use std::{
    pin::Pin,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{accounted::accounted, connection::Socket};
use crate::connection_memory::Held;

/// The most pieces that the system has not taken: one on its way, and the next one behind it.
pub(super) const PIECES_MAX: usize = 2;

/// The most bytes that the kernel keeps before they are on their way. What is behind them could as well
/// be made later, or be left out for a client that falls behind.
const UNSENT_MAX: usize = 16 << 10;

/// Reader's side: the pieces, in their order. The maker goes with it, when the client has gone.
pub(crate) struct Pieces {
    made: Receiver<Bytes>,
    /// `None` once it has come to its end.
    maker: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// Maker's side.
pub(super) struct Outlet {
    made: Sender<Bytes>,
    room: Arc<Semaphore>,
    memory: Arc<Held>,
    _mark: UnsentMark,
}

/// Mark of a socket for bytes that are not on their way, which the next reply does not have.
struct UnsentMark(Socket);

impl Pieces {
    /// Pieces that a maker puts into its outlet. `memory` is held for them until all have been sent.
    pub(super) fn new<F: Future<Output = ()> + Send + 'static>(
        memory: Held,
        socket: &Socket,
        maker: impl FnOnce(Outlet) -> F,
    ) -> Self {
        let (made, pieces) = mpsc::channel();
        let room = Arc::new(Semaphore::new(PIECES_MAX));
        let outlet =
            Outlet { made, room, memory: Arc::new(memory), _mark: UnsentMark::new(socket) };
        Self { made: pieces, maker: Some(Box::pin(maker(outlet))) }
    }

    /// The next piece; `None` behind the last.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(maker) = &mut self.maker
            && maker.as_mut().poll(context).is_ready()
        {
            self.maker = None;
        }
        match self.made.try_recv() {
            Ok(piece) => Poll::Ready(Some(piece)),
            Err(_) if self.maker.is_some() => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    }
}

impl Outlet {
    /// Waits until there is room for a piece.
    pub(super) async fn ready(&self) {
        drop(self.room().await);
    }

    /// Sends a piece, once there is room for it.
    pub(super) async fn send(&self, piece: impl Into<Bytes>) {
        let held = (self.room().await, Arc::clone(&self.memory));
        // The maker is dropped with the reader.
        let _ = self.made.send(accounted(piece.into(), held));
    }

    async fn room(&self) -> OwnedSemaphorePermit {
        let room = Arc::clone(&self.room).acquire_owned().await;
        room.expect("the semaphore is never closed")
    }
}

impl UnsentMark {
    fn new(socket: &Socket) -> Self {
        socket.keep_unsent(UNSENT_MAX);
        Self(socket.clone())
    }
}

impl Drop for UnsentMark {
    fn drop(&mut self) {
        self.0.keep_unsent(0);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        task::{Wake, Waker},
    };

    use kvlease_types::ByteSize;
    use tokio::{
        net::{TcpListener, TcpStream},
        sync::watch,
    };

    use super::*;
    use crate::{
        connection_memory::{ConnectionMemory, Purpose},
        metrics::MemoryMetrics,
    };

    const MEMORY: usize = 1000;

    /// Count of the wake-ups of a task.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    impl Wakes {
        /// How many there were since this was asked last.
        fn take(&self) -> usize {
            self.0.swap(0, Relaxed)
        }
    }

    /// Tells of all news so far in one piece, until there are no more to come.
    async fn tell(mut news: watch::Receiver<u64>, outlet: Outlet) {
        loop {
            outlet.ready().await;
            if news.changed().await.is_err() {
                return;
            }
            let latest = *news.borrow_and_update();
            outlet.send(latest.to_string()).await;
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_not_woken_by_news() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let metrics = MemoryMetrics::default();
        let taken = metrics.taken.clone();
        let memory = ConnectionMemory::new(ByteSize::mib(32), metrics);
        let held = memory.try_take(Purpose::Replies, MEMORY).unwrap();
        let news = watch::Sender::new(0);
        let mut pieces = Pieces::new(held, &Socket::encrypted(stream, None), |outlet| {
            tell(news.subscribe(), outlet)
        });
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let mut poll = || match pieces.poll_next(&mut context) {
            Poll::Pending => None,
            Poll::Ready(piece) => Some(piece),
        };

        assert_eq!((poll(), wakes.take()), (None, 0));
        let mut untaken = Vec::new();
        for number in 1..=PIECES_MAX as u64 {
            news.send_replace(number);
            assert_eq!(wakes.take(), 1, "a client with room is told");
            let piece = poll().unwrap().unwrap();
            assert_eq!(piece, number.to_string());
            untaken.push(piece);
            assert_eq!((poll(), wakes.take()), (None, 0));
        }
        for number in 100..200 {
            news.send_replace(number);
        }
        assert_eq!((wakes.take(), poll(), wakes.take()), (0, None, 0));

        // It is told all of it at once when it goes on.
        drop(untaken.pop());
        assert_eq!(wakes.take(), 1);
        untaken.push(poll().unwrap().unwrap());
        assert_eq!(untaken.last().unwrap(), "199");
        assert_eq!(poll(), None);

        // The memory is held for what was made, and no longer.
        drop(news);
        untaken.pop();
        assert_eq!(poll(), Some(None), "the end");
        drop(pieces);
        assert_eq!(taken.get(), MEMORY as i64);
        drop(untaken);
        assert_eq!(taken.get(), 0);
    }
}
