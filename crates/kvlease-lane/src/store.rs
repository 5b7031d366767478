//! Puts with one exchange: an object is written into a spare reservation, and gets its key with the
//! commit.

use std::{
    sync::{Arc, Weak, atomic::Ordering::SeqCst},
    time::Duration,
};

use kvlease_api::lane::{Answer, DoneStatus, ReserveStatus, StoreWriter, StoredObject};
use kvlease_types::{ByteSize, Checksum, Key};
use tokio::time::sleep;

use super::{
    Lane, LaneError, LanePut,
    connection::Connection,
    connection_state::ConnectionState,
    error::Fault,
    lane_core::{LaneCore, SpareUse},
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
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if len == 0 || len > SPARE_LEN_MAX || !self.is_writable() {
            return Ok(None);
        }
        let core = &self.core;
        let store = async |connection: &mut Connection| {
            let Some(spare) = connection.take_spare(len)? else { return Ok(None) };
            let mut taken = Taken::new(spare, &connection.state);
            let (extents, deadline) = (&taken.spare().extents, taken.spare().deadline);
            let Some(checksum) = fill(&core.session, extents, deadline, parts.iter().copied())
            else {
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
        let object = StoredObject {
            write,
            checksum: self.checksum,
            len: ByteSize::new(self.len),
            key: self.key.as_str(),
        };
        let write = |out: &mut Vec<u8>, request| {
            let mut frame = StoreWriter::begin(out, request, &self.core.bucket);
            frame.push(object).expect("one object fits, and its key was checked when it was made");
            frame.finish();
        };
        let read = |answer: Answer<'_>, _: &_| {
            let status = match answer {
                Answer::Done(mut statuses) => statuses.next(),
                _ => None,
            };
            status.ok_or_else(|| Fault::Protocol("no answer to a store".to_owned()))
        };
        connection.exchange_preparing(write, read).await
    }
}

/// A spare reservation that is written into. Dropping it gives it back.
struct Taken {
    spare: Option<Spare>,
    state: Arc<ConnectionState>,
}

impl Taken {
    fn new(spare: Spare, state: &Arc<ConnectionState>) -> Self {
        Self { spare: Some(spare), state: Arc::clone(state) }
    }

    fn spare(&self) -> &Spare {
        self.spare.as_ref().expect("present until it is settled")
    }

    /// The outcome by the daemon's status. What the daemon has left open can be used again.
    fn settle(&mut self, status: DoneStatus, len: u64, connection: &mut Connection) -> LanePut {
        let spare = self.spare.take();
        let put_back = || {
            if let Some(spare) = spare {
                connection.spares.put_back(len, spare, &self.state);
            }
        };
        match status {
            DoneStatus::Done => LanePut::Stored,
            DoneStatus::Exists | DoneStatus::BeingWritten => {
                put_back();
                LanePut::Exists
            }
            DoneStatus::MemoryShort => {
                put_back();
                LanePut::Refused(ReserveStatus::MemoryShort)
            }
            DoneStatus::Expired | DoneStatus::Unknown => LanePut::Expired,
        }
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
