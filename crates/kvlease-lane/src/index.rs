//! The published index: objects that are found and read without asking the daemon.

use std::sync::{Arc, atomic::Ordering};

use kvlease_api::lane::{Answer, write_index};
use kvlease_attach::{Attachment, IndexView, PublishedObject};
use kvlease_sys::FingerprintKey;
use kvlease_types::{ByteSize, Checksum, Extent, Key};
use tokio::{
    io::AsyncWriteExt,
    runtime::Handle,
    time::{Instant, timeout_at},
};

use super::{
    Lane, LaneError,
    error::Fault,
    handshake::{Greeted, Received, greet},
    lane_core::LaneCore,
    report::note_use,
};

/// Object that the published index names, to be read without a lease.
///
/// Its bytes may be given to another object at any time, so a copy counts only if
/// [`Self::is_live`] is true before and after it.
#[derive(Debug)]
pub struct IndexedObject {
    core: Arc<LaneCore>,
    object: PublishedObject,
}

impl Lane {
    /// Asks the daemon for its published index, over a connection of its own, and maps it. Returns
    /// false if the daemon has none, as a release before it.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`], within `limit`. The lane is as good as before.
    pub async fn open_index(&self, limit: std::time::Duration) -> Result<bool, LaneError> {
        let open = self.core.open_index();
        let opened = timeout_at(Instant::now() + limit, open).await;
        opened.unwrap_or(Err(Fault::TimedOut(limit))).map_err(|fault| fault.at(&self.core.path))
    }

    /// Whether there is an index to read from.
    pub fn has_index(&self) -> bool {
        self.core.index.get().is_some()
    }

    /// Length of the object, if the index names it. `None` says nothing: the daemon has to be asked.
    pub fn indexed_len(&self, key: &str) -> Option<ByteSize> {
        let index = self.core.index.get()?;
        let object = index.find(key)?;
        index.is_current().then(|| object.len())
    }

    /// The object of this key, if the index names it and it can be read without a lease. `None` says
    /// nothing: the daemon has to be asked. The read is reported to the daemon, within a moment.
    pub fn find_indexed(&self, key: &Key) -> Option<IndexedObject> {
        let core = &self.core;
        let object = core.index.get()?.find(key.as_str()).filter(|object| !object.leased_only)?;
        let is_noted =
            core.is_in_place(&object) && note_use(core, object.slot, object.generation, 1);
        is_noted.then(|| IndexedObject { core: Arc::clone(core), object })
    }

    /// Reports the object to the daemon as used, within a moment, if the index names it. Returns
    /// whether it does.
    pub fn touch(&self, key: &Key) -> bool {
        let core = &self.core;
        let object = core.index.get().and_then(|index| index.find(key.as_str()));
        object.is_some_and(|object| {
            core.is_in_place(&object) && note_use(core, object.slot, object.generation, 0)
        })
    }
}

impl LaneCore {
    async fn open_index(&self) -> Result<bool, Fault> {
        let Greeted { mut stream, welcome, .. } = greet(&self.path, false, self.trusted).await?;
        if welcome.epoch != self.session.welcome.epoch {
            return Err(Fault::Protocol("another daemon listens there by now".to_owned()));
        }
        let mut question = Vec::new();
        write_index(&mut question, 1);
        stream.write_all(&question).await?;
        let received = Received::first(&stream).await?;
        let indexed = match Answer::decode(&received.frame()?.0)? {
            Answer::Indexed(indexed) => indexed,
            // A release before the index, or a daemon that shuts down.
            Answer::Error(_) => return Ok(false),
            _ => return Err(Fault::Protocol("no answer to an index".to_owned())),
        };
        let [index, incarnation] = received.descriptors()?;
        let index = (index, indexed.slots, FingerprintKey::new(indexed.secret));
        let incarnation = (incarnation, welcome.epoch);
        let view = IndexView::from_descriptors(index, incarnation, self.bucket.as_str())?;
        // A call that was quicker has mapped the same.
        let _ = self.index.set(view);
        Ok(true)
    }

    /// Whether the bytes in the arena are the object's.
    fn is_in_place(&self, object: &PublishedObject) -> bool {
        self.session.holds(object.slot, object.generation)
            && self.index.get().is_some_and(IndexView::is_current)
    }
}

impl IndexedObject {
    /// Where the object's bytes are in the arena. Not checked against the mapping.
    pub fn extents(&self) -> &[Extent] {
        let extents = std::slice::from_ref(&self.object.extent);
        if self.is_empty() { &[] } else { extents }
    }

    /// The object's length.
    pub fn len(&self) -> ByteSize {
        self.object.len()
    }

    /// Whether the object has no bytes.
    pub fn is_empty(&self) -> bool {
        self.object.is_empty()
    }

    /// The checksum of the object's bytes.
    pub fn checksum(&self) -> Checksum {
        self.object.checksum
    }

    /// The object's generation.
    pub fn generation(&self) -> u64 {
        self.object.generation
    }

    /// Whether the bytes in the arena are the object's. If they are after a copy that began when they
    /// were, the copy is right. No call is made.
    pub fn is_live(&self) -> bool {
        self.core.is_in_place(&self.object) && !self.core.broken.load(Ordering::Relaxed)
    }

    /// The mapping of the arena.
    pub fn attachment(&self) -> &Arc<Attachment> {
        self.core.session.attachment()
    }

    /// The runtime for work in the background.
    pub fn runtime(&self) -> &Handle {
        self.core.reads.runtime()
    }
}
