//! Model checker: runs the threads of a protocol in every order of their steps, up to a few
//! preemptions.
//!
//! A step ends where a thread takes a lock of [`loom`]'s. So a file is compiled a second time with
//! those locks, and with this module in the place of a runtime. The waiting primitives of `tokio`
//! block no thread, and wake outside of their own locks: each call of them is one step.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use loom::{
    model::Builder,
    sync::{Condvar, Mutex},
    thread,
};

/// Most preemptions of threads that could go on: few faults need more.
const PREEMPTIONS_MAX: usize = 2;

/// Runs a protocol in every order; `LOOM_MAX_PREEMPTIONS` sets how far that goes.
pub fn check(protocol: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    let mut model = Builder::new();
    model.preemption_bound.get_or_insert(PREEMPTIONS_MAX);
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        protocol();
    });
    println!("orders=`{}`", orders.load(Ordering::Relaxed));
}

/// Polls a future to its end. One that is never woken is a deadlock, which the checker reports.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let parked = Arc::new(Parked { woken: Mutex::new(false), wake: Condvar::new() });
    let waker = Waker::from(Arc::clone(&parked));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        parked.wait();
    }
}

/// Polls a future once. A pending one comes back, to be polled further or given up.
///
/// # Errors
///
/// The future.
pub fn begin<F: Future>(future: F) -> Result<F::Output, Pin<Box<F>>> {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err(future),
    }
}

loom::lazy_static! {
    static ref STEPS: Mutex<()> = Mutex::new(());
}

/// Step whose order among all such steps matters.
pub fn step() {
    drop(STEPS.lock());
}

struct Parked {
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Parked {
    fn wait(&self) {
        let mut woken = self.woken.lock().expect("the checker poisons nothing");
        while !*woken {
            woken = self.wake.wait(woken).expect("the checker poisons nothing");
        }
        *woken = false;
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().expect("the checker poisons nothing") = true;
        self.wake.notify_one();
    }
}

/// Notification of waiters, one at a time or all.
#[derive(Default, Debug)]
pub struct Notify(tokio::sync::Notify);

impl Notify {
    /// As tokio's.
    pub fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        step();
        self.0.notified()
    }

    /// As tokio's.
    pub fn notify_one(&self) {
        step();
        self.0.notify_one();
    }

    /// As tokio's.
    pub fn notify_waiters(&self) {
        step();
        self.0.notify_waiters();
    }
}

pub mod oneshot {
    //! Channel for one value.

    pub use tokio::sync::oneshot::Receiver;

    /// Sending half.
    #[derive(Debug)]
    pub struct Sender<T>(tokio::sync::oneshot::Sender<T>);

    /// As tokio's.
    pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        (Sender(sender), receiver)
    }

    impl<T> Sender<T> {
        /// As tokio's.
        ///
        /// # Errors
        ///
        /// The value, if its receiver is gone.
        pub fn send(self, value: T) -> Result<(), T> {
            super::step();
            self.0.send(value)
        }

        /// As tokio's.
        pub fn is_closed(&self) -> bool {
            super::step();
            self.0.is_closed()
        }
    }
}

/// Runtime: each task is a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handle {
    /// It runs its tasks.
    Alive,
    /// It has ended: tasks are dropped at once.
    Ended,
}

impl Handle {
    /// Runtime that is alive.
    pub fn current() -> Self {
        Self::Alive
    }

    /// Runs a task.
    pub fn spawn(self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Alive => drop(thread::spawn(move || block_on(task))),
            Self::Ended => drop(task),
        }
    }
}
