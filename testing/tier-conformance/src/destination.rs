//! Destination of bytes in memory.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use kvlease_sys::Digest;
use kvlease_tier::{Destination, Loaded, TierError};

use crate::sample::Sample;

/// Destination that keeps the bytes, and tells its [`Delivery`] what the tier does with it.
#[derive(Debug)]
pub struct MemoryDestination {
    len: usize,
    bytes: Vec<u8>,
    pause: Duration,
    delivery: Delivery,
}

/// View of one destination, also after the tier has taken it.
#[derive(Clone, Debug)]
pub struct Delivery(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    written: usize,
    delivered: Delivered,
}

/// End of a destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delivered {
    /// The tier still has it.
    Open,
    /// It was completed, with these bytes.
    Complete(Vec<u8>),
    /// It was dropped without that.
    Discarded,
}

impl MemoryDestination {
    /// Destination of an object of this length.
    pub fn new(len: u64) -> (Box<Self>, Delivery) {
        Self::with_pause(len, Duration::ZERO)
    }

    /// Destination that takes this much longer for every piece, as memory far away does.
    pub fn with_pause(len: u64, pause: Duration) -> (Box<Self>, Delivery) {
        let state = State { written: 0, delivered: Delivered::Open };
        let delivery = Delivery(Arc::new(Mutex::new(state)));
        let len = usize::try_from(len).expect("an object of a test fits into memory");
        (Box::new(Self { len, bytes: Vec::new(), pause, delivery: delivery.clone() }), delivery)
    }
}

impl Destination for MemoryDestination {
    /// # Panics
    ///
    /// If the tier writes more than the object's length.
    fn write(&mut self, bytes: &[u8], digest: &mut Digest) {
        let left = self.len - self.bytes.len();
        assert!(bytes.len() <= left, "the tier wrote {} bytes, {left} are left", bytes.len());
        self.bytes.extend_from_slice(bytes);
        digest.update(bytes);
        self.delivery.state().written = self.bytes.len();
        thread::sleep(self.pause);
    }

    /// # Panics
    ///
    /// If bytes are missing.
    fn complete(mut self: Box<Self>) {
        let (found, len) = (self.bytes.len(), self.len);
        assert_eq!(found, len, "the tier completed an object without all of its bytes");
        self.delivery.state().delivered = Delivered::Complete(mem::take(&mut self.bytes));
    }
}

impl Drop for MemoryDestination {
    fn drop(&mut self) {
        let mut state = self.delivery.state();
        if state.delivered == Delivered::Open {
            state.delivered = Delivered::Discarded;
        }
    }
}

impl Delivery {
    /// Bytes that were written.
    pub fn written(&self) -> usize {
        self.state().written
    }

    /// End of the destination, or that it is open.
    pub fn delivered(&self) -> Delivered {
        self.state().delivered.clone()
    }

    /// True while the tier has the destination.
    pub fn is_open(&self) -> bool {
        self.state().delivered == Delivered::Open
    }

    /// Fails unless the destination ended as the answer of the load says, and has no wrong byte.
    ///
    /// # Panics
    ///
    /// If it did not.
    pub fn verify(&self, sample: &Sample, answer: &Result<Loaded, TierError>) {
        let is_complete = match self.delivered() {
            Delivered::Open => {
                panic!("the load has answered {answer:?} and has its destination yet")
            }
            Delivered::Complete(bytes) => {
                sample.verify(&bytes);
                true
            }
            Delivered::Discarded => false,
        };
        let says_complete = matches!(answer, Ok(Loaded::Complete));
        assert_eq!(says_complete, is_complete, "{answer:?} does not fit the destination's end");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
