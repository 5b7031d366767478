//! Waiting for an answer where it was asked for.
//!
//! A daemon on the same machine answers within some ten microseconds. To hand a call to a runtime's
//! thread and its result back takes several times that: each hand-over wakes a thread. So a caller
//! may poll a call *patiently*: sockets without their answer then wait for it in the poll, on the
//! caller's thread, until the patience is over. Only after that they do what sockets of a runtime
//! do.
//!
//! Whoever polls patiently gives up its thread for that long, so it is for one call at a time, and
//! for threads that would wait anyway.

use std::{
    cell::Cell,
    os::fd::BorrowedFd,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// How long an answer is waited for in place: several times what a daemon takes that is not busy.
const PATIENCE: Duration = Duration::from_micros(250);

/// For how much of that the thread stays awake and looks again and again, giving way to others: to
/// fall asleep and be woken takes longer, and more of the processor, than most answers.
const WAKEFUL: Duration = Duration::from_micros(40);

/// After patience that was in vain so many calls are made without, and twice as many each further
/// time, up to the most: a busy daemon stays busy for a while.
const SKIPPED_FIRST: u32 = 4;
const SKIPPED_MAX: u32 = 256;

thread_local! {
    /// Until when sockets that are polled on this thread wait in the poll.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whether sockets that are polled on this thread tell only what is there already.
    static GLANCE: Cell<bool> = const { Cell::new(false) };
}

/// Whether patience is worth it, learned from call to call.
#[derive(Default, Debug)]
pub struct Patience {
    /// How many calls are still to be made without.
    skip: AtomicU32,
    /// How many were skipped the last time.
    skipped: AtomicU32,
}

impl Patience {
    /// Polls a future once, waiting in place for its answers. If it is not done by then, it has to
    /// be polled further by a runtime, whose context this must be called in.
    pub fn poll<F: Future + ?Sized>(&self, future: Pin<&mut F>) -> Option<F::Output> {
        // The numbers are hints: a race costs a call its patience, or some time.
        let skip = self.skip.load(Ordering::Relaxed);
        if skip > 0 {
            self.skip.store(skip - 1, Ordering::Relaxed);
            return None;
        }
        let scope = Scope::begin();
        let polled = future.poll(&mut Context::from_waker(Waker::noop()));
        drop(scope);
        let skipped = match &polled {
            Poll::Ready(_) => 0,
            Poll::Pending => {
                (self.skipped.load(Ordering::Relaxed) * 2).clamp(SKIPPED_FIRST, SKIPPED_MAX)
            }
        };
        self.skipped.store(skipped, Ordering::Relaxed);
        self.skip.store(skipped, Ordering::Relaxed);
        match polled {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}

/// The time of one patient poll, which ends with it even if it panics.
struct Scope(Option<Instant>);

impl Scope {
    fn begin() -> Self {
        Self(UNTIL.replace(Some(Instant::now() + PATIENCE)))
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        UNTIL.set(self.0);
    }
}

/// Polls sockets for what is there already: one without anything is pending, and wakes nobody when
/// something comes.
pub(crate) fn glance<T>(poll: impl FnOnce() -> T) -> T {
    GLANCE.set(true);
    let polled = poll();
    GLANCE.set(false);
    polled
}

/// Whether this thread only wants to know what is there.
pub(crate) fn is_glance() -> bool {
    GLANCE.get()
}

/// Whether this thread is in a patient poll.
pub(crate) fn is_had() -> bool {
    UNTIL.get().is_some()
}

/// Waits until the socket is ready for one of these, as long as this thread's patience lasts.
/// `false` if it is over, or if there is none.
pub(crate) fn wait(socket: BorrowedFd<'_>, events: PollFlags) -> bool {
    let Some(until) = UNTIL.get() else { return false };
    let began = Instant::now();
    loop {
        let now = Instant::now();
        let left = until.saturating_duration_since(now);
        if left.is_zero() {
            return false;
        }
        let asleep = if now - began < WAKEFUL { Duration::ZERO } else { left };
        let mut sockets = [PollFd::from_borrowed_fd(socket, events)];
        let span = Timespec { tv_sec: 0, tv_nsec: i64::from(asleep.subsec_nanos()) };
        match poll(&mut sockets, Some(&span)) {
            Ok(0) if asleep.is_zero() => thread::yield_now(),
            Ok(0) => return false,
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            // The socket itself tells what is wrong with it.
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, io::Write, os::fd::AsFd, os::unix::net::UnixStream, pin::pin};

    use super::*;

    #[test]
    fn only_a_patient_poll_waits() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        assert!(!wait(socket.as_fd(), PollFlags::IN));
        peer.write_all(b"x").unwrap();
        assert!(!wait(socket.as_fd(), PollFlags::IN), "not even for what is there");
        let scope = Scope::begin();
        assert!(wait(socket.as_fd(), PollFlags::IN));
        drop(scope);
        assert!(!wait(socket.as_fd(), PollFlags::IN));
    }

    #[test]
    fn what_does_not_come_ends_the_patience() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let _scope = Scope::begin();
        assert!(!wait(socket.as_fd(), PollFlags::IN));
    }

    #[test]
    fn patience_in_vain_is_not_had_again_at_once() {
        let patience = Patience::default();
        let had = || patience.poll(pin!(async {})).is_some();
        assert!(had());
        assert!(patience.poll(pin!(pending::<()>())).is_none());
        let skipped = (0..).take_while(|_| !had()).count();
        assert_eq!(skipped, SKIPPED_FIRST as usize);
        for _ in 0..20 {
            patience.skip.store(0, Ordering::Relaxed);
            assert!(patience.poll(pin!(pending::<()>())).is_none());
        }
        let skipped = (0..).take_while(|_| !had()).count();
        assert_eq!(skipped, SKIPPED_MAX as usize);
    }
}
