//! Posted puts: the object is written and its commit sent, and the answer is taken later.
//!
//! Later calls on the connection take the answers that have come, as a flush does, which waits for all.

use std::{
    collections::VecDeque,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use kvlease_api::lane::{Answer, DoneStatus};

use super::{
    connection_state::ConnectionState,
    outcome::LanePut,
    spares::{Spare, Spares},
};

/// The most posted puts of a connection whose answers are to come, and the most bytes of them.
const POSTED_MAX: usize = 16;
const POSTED_LEN_MAX: u64 = 8 << 20;

/// Observer of posted puts.
pub trait PostObserver: Debug + Send + Sync {
    /// Takes the outcome of the posted put of this number; `None` if its answer will not come: then it is
    /// not known whether the object was stored.
    ///
    /// It is called while the lane holds locks, so it must make no call of the lane.
    fn settle(&self, number: u64, outcome: Option<LanePut>);
}

/// A posted put as its caller names it.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// Observer that takes the outcome.
    pub observer: &'a Arc<dyn PostObserver>,
    /// The number that the outcome goes with.
    pub number: u64,
}

/// The posted puts of one connection whose answers are to come, in the order of their requests.
#[derive(Default, Debug)]
pub(super) struct PostedQueue {
    puts: VecDeque<Posted>,
    len: u64,
    /// How many there are, also for a flush.
    count: Arc<AtomicUsize>,
}

/// A posted put whose answer is to come. If it is dropped, the answer will not come.
#[derive(Debug)]
pub(super) struct Posted {
    request: u64,
    len: u64,
    spare: Option<Spare>,
    observer: Arc<dyn PostObserver>,
    number: u64,
}

/// A connection that has posted puts, in the list of its lane.
#[derive(Clone, Debug)]
pub(super) struct Posting {
    pub(super) of: Arc<ConnectionState>,
    count: Arc<AtomicUsize>,
}

impl Posted {
    /// The put of an object of this length into a spare reservation.
    pub(super) fn new(request: u64, len: u64, spare: Spare, post: Post<'_>) -> Self {
        let (observer, number) = (Arc::clone(post.observer), post.number);
        Self { request, len, spare: Some(spare), observer, number }
    }

    /// Tells the outcome by the answer. A reservation that the daemon has left open can be used again.
    pub(super) fn settle(
        mut self,
        answer: &Answer<'_>,
        spares: &mut Spares,
        state: &ConnectionState,
    ) {
        let Some(spare) = self.spare.take() else { return };
        let outcome = store_status(answer).map(LanePut::of_store);
        match outcome {
            Some(outcome) if outcome.keeps_spare() => spares.put_back(self.len, spare, state),
            Some(_) => {}
            // The request was refused as a whole.
            None => state.give_up(spare.write),
        }
        self.observer.settle(self.number, outcome);
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        if self.spare.is_some() {
            self.observer.settle(self.number, None);
        }
    }
}

impl PostedQueue {
    /// Adds one whose request was sent. Returns whether it is the only one.
    pub(super) fn push(&mut self, posted: Posted) -> bool {
        self.len += posted.len;
        self.puts.push_back(posted);
        self.count.fetch_add(1, SeqCst) == 0
    }

    /// Takes out the one of this request, whose answer has come.
    pub(super) fn take(&mut self, request: u64) -> Option<Posted> {
        self.puts.front().filter(|first| first.request == request)?;
        let posted = self.puts.pop_front()?;
        self.len -= posted.len;
        self.count.fetch_sub(1, SeqCst);
        Some(posted)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.puts.len()
    }

    /// Whether there is room for one more of this length.
    pub(super) fn has_room(&self, len: u64) -> bool {
        self.is_empty() || self.puts.len() < POSTED_MAX && self.len + len <= POSTED_LEN_MAX
    }

    /// Entry of the lane's list for the connection of this state.
    pub(super) fn posting(&self, of: &Arc<ConnectionState>) -> Posting {
        Posting { of: Arc::clone(of), count: Arc::clone(&self.count) }
    }
}

impl Drop for PostedQueue {
    fn drop(&mut self) {
        self.count.store(0, SeqCst);
    }
}

impl Posting {
    /// Whether answers to posted puts are to come.
    pub(super) fn is_pending(&self) -> bool {
        self.count.load(SeqCst) > 0
    }
}

/// The status in the answer to a STORE of one object.
pub(super) fn store_status(answer: &Answer<'_>) -> Option<DoneStatus> {
    match answer {
        Answer::Done(statuses) => statuses.clone().next(),
        _ => None,
    }
}
