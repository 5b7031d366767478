//! Who waits for a write to end.

use std::collections::HashMap;

use kvlease_cache::WriteId;
use tokio::sync::watch;

/// The writes that somebody waits for: an entry is made by the first who does.
#[derive(Default, Debug)]
pub(crate) struct Awaited(HashMap<WriteId, watch::Sender<()>>);

impl Awaited {
    /// Wakes when the write ends, either way.
    pub(crate) fn wait(&mut self, id: WriteId) -> watch::Receiver<()> {
        self.0.entry(id).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    /// The write has ended: wakes all who wait for it, by dropping the sender.
    pub(crate) fn wake(&mut self, id: WriteId) {
        self.0.remove(&id);
    }
}
