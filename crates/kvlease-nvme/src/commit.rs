//! Thread that makes records durable: one sync for all that wait, then they are published.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
    time::{Duration, Instant},
};

use kvlease_sys::IoBuffer;
use kvlease_tier::{Stored, TierError};
use kvlease_types::ByteSize;
use tokio::sync::oneshot;

use crate::{
    device::Wake,
    format::BLOCK,
    rewrite::write_tombstones,
    segments::Room,
    shared::{Shared, io_error},
    state::{Removal, Removed, Written},
    ticket::Ticket,
};

/// Longest time for which a written record waits for others to share its sync: each sync has the device
/// write what it caches.
const GATHER: Duration = Duration::from_millis(2);

/// Bytes of written records that wait for no others.
const GATHER_BYTES: ByteSize = ByteSize::mib(16);

/// Work of the commit thread.
pub(crate) enum Commit {
    /// The record of an object is written.
    Object(ObjectCommit),
    /// The record of an object is written, maybe with other bytes: it is to be removed after that.
    Changed(ObjectCommit, RemovalCommit),
    /// Objects are to be removed.
    Removal(RemovalCommit),
    /// There may be room for tombstones.
    Room,
    /// Nothing more comes.
    Stop,
}

/// Record of an object that is written and not yet durable.
pub(crate) struct ObjectCommit {
    pub(crate) written: Written,
    /// Bytes that were written for the object.
    pub(crate) size: ByteSize,
    pub(crate) reply: oneshot::Sender<Result<Stored, TierError>>,
    pub(crate) ticket: Ticket,
}

/// Objects to be removed, and who is told.
pub(crate) struct RemovalCommit {
    pub(crate) removed: VecDeque<Removed>,
    pub(crate) answer: Box<dyn FnOnce(Result<Vec<bool>, TierError>) + Send>,
}

/// Removal under way.
struct Removing {
    commit: RemovalCommit,
    found: Vec<bool>,
    failed: Option<TierError>,
    /// Its tombstones that are written in this round.
    written: Vec<Removal>,
}

/// Thread that makes records durable.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    inbox: Receiver<Commit>,
    block: IoBuffer,
    removals: Vec<Removing>,
    is_stopping: bool,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, inbox: Receiver<Commit>) -> io::Result<Self> {
        let block = IoBuffer::new(BLOCK)?;
        Ok(Self { shared, inbox, block, removals: Vec::new(), is_stopping: false })
    }

    pub(crate) fn run(mut self) {
        while !self.is_stopping {
            let Ok(first) = self.inbox.recv() else { break };
            let (mut objects, mut changed) = (Vec::new(), Vec::new());
            for commit in self.gather(first) {
                match commit {
                    Commit::Object(object) => objects.push(object),
                    Commit::Changed(object, removal) => {
                        objects.push(object);
                        changed.push(Removing::new(removal));
                    }
                    Commit::Removal(commit) => self.removals.push(Removing::new(commit)),
                    Commit::Room => {}
                    Commit::Stop => self.is_stopping = true,
                }
            }
            self.commit(objects);
            if !changed.is_empty() {
                self.removals.append(&mut changed);
                self.commit(Vec::new());
            }
        }
        for removing in self.removals.drain(..) {
            (removing.commit.answer)(Err(TierError::Closed));
        }
    }

    /// Work that one sync is for: all that waits, and records that are about to be written.
    fn gather(&self, first: Commit) -> Vec<Commit> {
        let mut batch = vec![first];
        batch.extend(self.inbox.try_iter());
        let deadline = Instant::now() + GATHER;
        loop {
            let sizes = batch.iter().map(|commit| match commit {
                Commit::Object(object) => Some(object.size.bytes()),
                _ => None,
            });
            // A removal does not wait for records.
            let Some(bytes) = sizes.sum::<Option<u64>>() else { return batch };
            if bytes >= GATHER_BYTES.bytes() || !self.shared.is_storing() {
                return batch;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(commit) => batch.push(commit),
                Err(_) => return batch,
            }
        }
    }

    /// Makes a batch durable, and answers it.
    fn commit(&mut self, objects: Vec<ObjectCommit>) {
        for at in 0..self.removals.len() {
            self.write_tombstones(at);
        }
        let has_tombstones = self.removals.iter().any(|removing| !removing.written.is_empty());
        let synced =
            if objects.is_empty() && !has_tombstones { Ok(()) } else { self.shared.device.sync() };
        let error = synced.err();
        if !objects.is_empty() {
            self.end_objects(objects, error.as_ref());
        }
        self.end_removals(error.as_ref());
        // Segments may have become ready to be sealed.
        self.shared.wake_maintenance();
    }

    fn end_objects(&self, objects: Vec<ObjectCommit>, error: Option<&io::Error>) {
        let mut state = self.shared.state();
        for object in &objects {
            let Written { fingerprint, reservation, .. } = &object.written;
            match error {
                None => state.commit(&object.written),
                Some(_) => state.abandon(*fingerprint, reservation),
            }
        }
        drop(state);
        for ObjectCommit { size, reply, ticket, .. } in objects {
            drop(ticket);
            // Without a receiver the caller gave up, and the object stays.
            let _ = reply.send(match error {
                None => Ok(Stored::Written(size)),
                Some(error) => Err(io_error("syncing the file")(same(error))),
            });
        }
    }

    /// Writes tombstones of a removal as far as there is room.
    fn write_tombstones(&mut self, at: usize) {
        let removing = &mut self.removals[at];
        while !removing.commit.removed.is_empty() && removing.failed.is_none() {
            let started = self
                .shared
                .state()
                .start_removal(&mut removing.commit.removed, &mut removing.found);
            match started {
                Ok(None) => {}
                Ok(Some(removal)) => {
                    if let Err(error) =
                        write_tombstones(self.shared.log(), &removal, &mut self.block)
                    {
                        removing.failed = Some(io_error("writing a tombstone")(error));
                        self.shared.state().end_removal(&removal, false);
                    } else {
                        removing.written.push(removal);
                    }
                }
                Err(Room::Full) => removing.failed = Some(TierError::Full),
                Err(_) => {
                    self.shared.wake_maintenance();
                    return;
                }
            }
        }
    }

    /// Ends the tombstones of this round, and answers the removals that are complete.
    fn end_removals(&mut self, error: Option<&io::Error>) {
        for mut removing in std::mem::take(&mut self.removals) {
            for removal in removing.written.drain(..) {
                self.shared.state().end_removal(&removal, error.is_none());
                if let Some(error) = error {
                    removing.failed = Some(io_error("syncing the file")(same(error)));
                }
            }
            if let Some(error) = removing.failed {
                (removing.commit.answer)(Err(error));
            } else if removing.commit.removed.is_empty() {
                (removing.commit.answer)(Ok(removing.found));
            } else {
                self.removals.push(removing);
            }
        }
    }
}

impl Removing {
    fn new(commit: RemovalCommit) -> Self {
        let found = Vec::with_capacity(commit.removed.len());
        Self { commit, found, failed: None, written: Vec::new() }
    }
}

/// Error that several callers get.
fn same(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Waker of the commit thread, for when there is room.
pub(crate) struct CommitWaker(pub(crate) Sender<Commit>);

impl Wake for CommitWaker {
    fn wake(&self) {
        // Without a receiver the thread has ended, and waits for nothing.
        let _ = self.0.send(Commit::Room);
    }
}
