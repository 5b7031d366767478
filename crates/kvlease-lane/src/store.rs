//! Puts with one exchange: an object is written into a spare reservation, and gets its key with the
//! commit.

use std::{
    sync::{Arc, MutexGuard, PoisonError, Weak, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use kvlease_api::lane::{Answer, DoneStatus, StoreWriter, StoredObject};
use kvlease_types::{ByteSize, Checksum, Key};
use tokio::time::sleep;

use super::{
    Lane, LaneError, LanePut,
    connection::Connection,
    connection_state::ConnectionState,
    error::Fault,
    lane_core::{LaneCore, SpareUse},
    posted::{Post, Posted, Posting, store_status},
    put::fill,
    spares::{IDLE, SPARE_LEN_MAX, Spare},
};

impl Lane {
    /// Stores an object, given by its parts in their order, if there is space that was reserved ahead of
    /// need: a copy on this thread and one exchange. `None` if there is none: then
    /// [`Self::reserve`] is to be called, and the commit that follows reserves ahead as well.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`]. Then it is not known whether the object was stored.
    pub async fn store(
        &self,
        key: &Key,
        parts: &[&[u8]],
        limit: Duration,
    ) -> Result<Option<LanePut>, LaneError> {
        let Some(len) = self.len_to_store(parts) else { return Ok(None) };
        let core = &self.core;
        let store = async |connection: &mut Connection| {
            let spare = connection.take_spare(len)?;
            let Some(mut taken) = Taken::new(spare, connection) else { return Ok(None) };
            let Some(checksum) = taken.fill(core, parts) else {
                return Ok(Some(LanePut::Expired));
            };
            let object = Named { core, key, len, checksum };
            let status = object.commit(taken.spare().write, connection).await?;
            Ok(Some(taken.settle(status, len, connection)))
        };
        let stored = core.call(None, limit, store).await;
        end_idle_later(core);
        stored
    }

    /// As [`Self::store`], without waiting for the answer, which the observer of the post gets. The parts
    /// are read before this returns. False, and the observer gets nothing, if there is no space that was
    /// reserved ahead of need.
    ///
    /// The posted puts of a connection, and their bytes, are bounded: one more waits for the first of them.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`]. Then it is not known whether the object was stored, and the observer gets nothing.
    pub async fn post(
        &self,
        key: &Key,
        parts: &[&[u8]],
        post: Post<'_>,
        limit: Duration,
    ) -> Result<bool, LaneError> {
        let Some(len) = self.len_to_store(parts) else { return Ok(false) };
        let core = &self.core;
        let send = async |connection: &mut Connection| {
            let spare = connection.await_spare(len).await?;
            let Some(taken) = Taken::new(spare, connection) else { return Ok(false) };
            let Some(checksum) = taken.fill(core, parts) else { return Ok(false) };
            let object = Named { core, key, len, checksum };
            let frame = object.frame(taken.spare().write);
            let posted = |request| Posted::new(request, len, taken.into_sent(), post);
            if connection.post(frame, posted).await? {
                core.note_posting(connection.posted.posting(&connection.state));
            }
            Ok(true)
        };
        let posted = core.call(None, limit, send).await;
        end_idle_later(core);
        posted
    }

    /// Waits for the answers to all puts that were posted before.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`]; then some answers may not have come.
    pub async fn flush_posted(&self, limit: Duration) -> Result<(), LaneError> {
        let deadline = Instant::now().checked_add(limit);
        let mut flushed = Ok(());
        for posting in self.core.posting() {
            let left =
                deadline.map_or(limit, |until| until.saturating_duration_since(Instant::now()));
            let wait = async |connection: &mut Connection| connection.await_posted().await;
            let answered = self.core.call(Some(&posting.of), left, wait).await;
            flushed = flushed.and(answered);
        }
        flushed
    }

    /// The length of an object, if it may be written into space that was reserved ahead of need.
    fn len_to_store(&self, parts: &[&[u8]]) -> Option<u64> {
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        (len > 0 && len <= SPARE_LEN_MAX && self.is_writable()).then_some(len)
    }
}

impl LaneCore {
    /// Notes that a connection has posted puts.
    fn note_posting(&self, posting: Posting) {
        let mut all = self.lock_posting();
        all.retain(|other| other.is_pending() && !Arc::ptr_eq(&other.of, &posting.of));
        all.push(posting);
    }

    /// The connections that have posted puts.
    fn posting(&self) -> Vec<Posting> {
        self.lock_posting().iter().filter(|posting| posting.is_pending()).cloned().collect()
    }

    fn lock_posting(&self) -> MutexGuard<'_, Vec<Posting>> {
        // Nothing in the sections can panic half way.
        self.posting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Object that was written.
struct Named<'a> {
    core: &'a LaneCore,
    key: &'a Key,
    len: u64,
    checksum: Checksum,
}

impl Named<'_> {
    /// Publishes it, and asks for more spare reservations on the way.
    async fn commit(&self, write: u64, connection: &mut Connection) -> Result<DoneStatus, Fault> {
        let read = |answer: Answer<'_>, _: &_| {
            store_status(&answer).ok_or_else(|| Fault::Protocol("no answer to a store".to_owned()))
        };
        connection.exchange_preparing(self.frame(write), read).await
    }

    /// Writer of the frame that publishes it.
    fn frame(&self, write: u64) -> impl FnOnce(&mut Vec<u8>, u64) {
        let object = StoredObject {
            write,
            checksum: self.checksum,
            len: ByteSize::new(self.len),
            key: self.key.as_str(),
        };
        move |out, request| {
            let mut frame = StoreWriter::begin(out, request, &self.core.bucket);
            frame.push(object).expect("one object fits, and its key was checked when it was made");
            frame.finish();
        }
    }
}

/// A spare reservation that is written into. Dropping it gives it back.
struct Taken {
    spare: Option<Spare>,
    state: Arc<ConnectionState>,
}

impl Taken {
    /// One of the connection's, if there is one.
    fn new(spare: Option<Spare>, connection: &Connection) -> Option<Self> {
        let spare = Some(spare?);
        Some(Self { spare, state: Arc::clone(&connection.state) })
    }

    /// Writes the object. `None` if that was not done in time.
    fn fill(&self, core: &LaneCore, parts: &[&[u8]]) -> Option<Checksum> {
        let Spare { extents, deadline, .. } = self.spare();
        fill(&core.session, extents, *deadline, parts.iter().copied())
    }

    /// The reservation, whose commit was sent.
    fn into_sent(mut self) -> Spare {
        self.spare.take().expect("present until it is settled")
    }

    fn spare(&self) -> &Spare {
        self.spare.as_ref().expect("present until it is settled")
    }

    /// The outcome by the daemon's status. What the daemon has left open can be used again.
    fn settle(&mut self, status: DoneStatus, len: u64, connection: &mut Connection) -> LanePut {
        let spare = self.spare.take();
        let outcome = LanePut::of_store(status);
        if let Some(spare) = spare.filter(|_| outcome.keeps_spare()) {
            connection.spares.put_back(len, spare, &self.state);
        }
        outcome
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(spare) = self.spare.take() {
            self.state.give_up(spare.write);
        }
    }
}

/// Has spare reservations given back that are not used for a while, by a task that ends when none is
/// left.
fn end_idle_later(core: &Arc<LaneCore>) {
    core.spares.used.store(true, SeqCst);
    if !core.spares.watched.swap(true, SeqCst) {
        let task = Task { core: Arc::downgrade(core), is_watching: true };
        core.reads.runtime().spawn(task.run());
    }
}

/// The task. If its runtime ends before it does, the next put starts another one.
struct Task {
    core: Weak<LaneCore>,
    /// Whether puts take it for the one that watches.
    is_watching: bool,
}

impl Task {
    async fn run(mut self) {
        loop {
            sleep(IDLE).await;
            let Some(core) = self.core.upgrade() else { return };
            let SpareUse { used, watched } = &core.spares;
            // A put from now on starts another task.
            self.is_watching = false;
            watched.store(false, SeqCst);
            if !used.swap(false, SeqCst) {
                // Idle connections give back what they have not used for as long.
                return core.pool.flush_all();
            }
            if watched.swap(true, SeqCst) {
                return;
            }
            self.is_watching = true;
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.is_watching
            && let Some(core) = self.core.upgrade()
        {
            core.spares.watched.store(false, SeqCst);
        }
    }
}
