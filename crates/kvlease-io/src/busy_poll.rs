//! Busy polling: answers are waited for on the thread of the caller, for a short while.
//!
//! A daemon on the same machine answers within some ten microseconds. To hand a call to a runtime's
//! thread and its result back takes several times that: each hand-over wakes a thread. So a caller
//! may *spin* on a call: while it polls the call, sockets without their answer wait for it in the
//! poll, on the caller's thread, until the time for that is over. Only after that they do what
//! sockets of a runtime do.
//!
//! A caller that spins gives up its thread for that long. So spinning is for one call at a time, and
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

/// How long a spin waits for an answer: several times what a daemon takes that is not busy.
const SPIN_MAX: Duration = Duration::from_micros(250);

/// For how much of that the thread stays awake and looks again and again, yielding to others: to
/// fall asleep and be woken takes longer, and more of the processor, than most answers.
const AWAKE_MAX: Duration = Duration::from_micros(40);

/// After a spin times out, this many calls skip spinning, doubling with each further time-out up to
/// the most: a busy daemon stays busy for a while.
const SKIPPED_FIRST: u32 = 4;
const SKIPPED_MAX: u32 = 256;

thread_local! {
    /// Until when sockets that are polled on this thread wait in the poll.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whether sockets that are polled on this thread report only what is there already.
    static TRYING: Cell<bool> = const { Cell::new(false) };
}

/// Spinning that adapts: it learns from call to call whether it is worth its time.
#[derive(Default, Debug)]
pub struct AdaptiveSpin {
    /// How many calls still skip spinning.
    skip: AtomicU32,
    /// How many calls skipped it the last time.
    skipped: AtomicU32,
}

impl AdaptiveSpin {
    /// Polls a future once, waiting in place for its answers. If it is not done by then, it has to
    /// be polled further by a runtime, whose context this must be called in.
    pub fn poll<F: Future + ?Sized>(&self, future: Pin<&mut F>) -> Option<F::Output> {
        // The numbers are hints: a race costs a call its spin, or some time.
        let skip = self.skip.load(Ordering::Relaxed);
        if skip > 0 {
            self.skip.store(skip - 1, Ordering::Relaxed);
            return None;
        }
        let spin = Spin::begin();
        let polled = future.poll(&mut Context::from_waker(Waker::noop()));
        drop(spin);
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

/// Time of one spin, which ends with its poll even if that panics.
struct Spin(Option<Instant>);

impl Spin {
    fn begin() -> Self {
        Self(UNTIL.replace(Some(Instant::now() + SPIN_MAX)))
    }
}

impl Drop for Spin {
    fn drop(&mut self) {
        UNTIL.set(self.0);
    }
}

/// Polls sockets for what is there already: one without anything is pending, and wakes no task when
/// something comes.
pub fn try_now<T>(poll: impl FnOnce() -> T) -> T {
    TRYING.set(true);
    let polled = poll();
    TRYING.set(false);
    polled
}

/// Whether this thread is in [`try_now`].
pub(crate) fn is_trying() -> bool {
    TRYING.get()
}

/// Whether this thread spins.
pub(crate) fn is_spinning() -> bool {
    UNTIL.get().is_some()
}

/// Waits until the socket is ready for one of these events, as long as this thread spins. `false` if
/// the time for that is over, or if it does not spin.
pub(crate) fn wait(socket: BorrowedFd<'_>, events: PollFlags) -> bool {
    let Some(until) = UNTIL.get() else { return false };
    let began = Instant::now();
    loop {
        let now = Instant::now();
        let left = until.saturating_duration_since(now);
        if left.is_zero() {
            return false;
        }
        let asleep = if now - began < AWAKE_MAX { Duration::ZERO } else { left };
        let mut sockets = [PollFd::from_borrowed_fd(socket, events)];
        let span = Timespec { tv_sec: 0, tv_nsec: i64::from(asleep.subsec_nanos()) };
        match poll(&mut sockets, Some(&span)) {
            Ok(0) if asleep.is_zero() => thread::yield_now(),
            Ok(0) => return false,
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            // The socket itself reports what is wrong with it.
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, io::Write, os::fd::AsFd, os::unix::net::UnixStream, pin::pin};

    use super::*;

    #[test]
    fn only_a_spin_waits() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        assert!(!wait(socket.as_fd(), PollFlags::IN));
        peer.write_all(b"x").unwrap();
        assert!(!wait(socket.as_fd(), PollFlags::IN), "not even for what is there");
        let spin = Spin::begin();
        assert!(wait(socket.as_fd(), PollFlags::IN));
        drop(spin);
        assert!(!wait(socket.as_fd(), PollFlags::IN));
    }

    #[test]
    fn an_answer_that_does_not_come_ends_the_spin() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let _spin = Spin::begin();
        assert!(!wait(socket.as_fd(), PollFlags::IN));
    }

    #[test]
    fn calls_after_a_spin_that_timed_out_skip_spinning() {
        let spin = AdaptiveSpin::default();
        let spun = || spin.poll(pin!(async {})).is_some();
        assert!(spun());
        assert!(spin.poll(pin!(pending::<()>())).is_none());
        let skipped = (0..).take_while(|_| !spun()).count();
        assert_eq!(skipped, SKIPPED_FIRST as usize);
        for _ in 0..20 {
            spin.skip.store(0, Ordering::Relaxed);
            assert!(spin.poll(pin!(pending::<()>())).is_none());
        }
        let skipped = (0..).take_while(|_| !spun()).count();
        assert_eq!(skipped, SKIPPED_MAX as usize);
    }
}
