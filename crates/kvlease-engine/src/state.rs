//! The catalog, and the readers that wait for pending objects.
//!
//! Both change together, under one lock: a reader that finds an object pending waits for its end
//! from the same moment on, and the end of a write wakes all readers that found it pending.

use std::{collections::HashMap, time::Duration};

use kvlease_cache::{Catalog, WriteId};
use kvlease_types::{BucketName, ByteSize, Checksum, Timestamp};
use tokio::sync::watch;

/// Content of the engine's one mutex.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) catalog: Catalog,
    /// Writes that readers wait for: an entry is made by the first of them. The value says whether the
    /// write was a load from a tier that failed.
    awaited: HashMap<WriteId, watch::Sender<bool>>,
    /// Until when loads of a class wait for copies; none of classes that had room for the last one.
    copies_until: HashMap<u8, Timestamp>,
}

impl State {
    pub(crate) fn new(catalog: Catalog) -> Self {
        Self { catalog, awaited: HashMap::new(), copies_until: HashMap::new() }
    }

    /// Whether a load of this length into a bucket is to wait until objects that leave ahead of need were copied: it
    /// would evict others that no tier has yet. It waits `max` at most, from the moment when room ran out.
    pub(crate) fn waits_for_copies(
        &mut self,
        bucket: &BucketName,
        len: ByteSize,
        max: Duration,
        now: Timestamp,
    ) -> bool {
        let class = self.catalog.class(bucket);
        if !self.catalog.makes_room_ahead(class, len) {
            self.copies_until.remove(&class);
            return false;
        }
        now < *self.copies_until.entry(class).or_insert_with(|| now.after(max))
    }

    /// The end of the write that is pending under this name: the receiver wakes when it comes, either
    /// way, and has then whether the write was a load from a tier that failed. `None` if no write is
    /// pending.
    pub(crate) fn end_of_write(
        &mut self,
        bucket: &str,
        key: &str,
    ) -> Option<watch::Receiver<bool>> {
        let id = self.catalog.pending(bucket, key)?;
        let end = self.awaited.entry(id).or_insert_with(|| watch::channel(false).0);
        Some(end.subscribe())
    }

    /// Publishes an object, and wakes all readers that wait for it.
    pub(crate) fn seal(&mut self, id: WriteId, len: ByteSize, checksum: Checksum, now: Timestamp) {
        self.catalog
            .seal(id, len, checksum, now)
            .expect("a write is known, with its space, until its guard seals or aborts it");
        self.wake(id, false);
    }

    /// Discards an object, and wakes all readers that wait for it. `is_load` says whether it was to come
    /// from a tier.
    pub(crate) fn abort(&mut self, id: WriteId, is_load: bool) {
        self.catalog.abort(id);
        self.wake(id, is_load);
    }

    /// Wakes by dropping the sender.
    fn wake(&mut self, id: WriteId, load_failed: bool) {
        if let Some(end) = self.awaited.remove(&id) {
            end.send_if_modified(|value| {
                *value = load_failed;
                false
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use kvlease_cache::CatalogConfig;
    use kvlease_testing::model::{block_on, check, step};
    use kvlease_types::{BucketName, Caller, Epoch, Key, Miss};
    use loom::{sync::Mutex, thread};

    use super::*;

    const TTL: Duration = Duration::from_secs(1);

    fn state() -> Arc<Mutex<State>> {
        let capacity = ByteSize::mib(1);
        let config = CatalogConfig { capacity, ..CatalogConfig::default() };
        let mut catalog = Catalog::new(config, Epoch::new(1));
        catalog.grow(capacity);
        Arc::new(Mutex::new(State::new(catalog)))
    }

    fn now() -> Timestamp {
        Timestamp::default()
    }

    fn begin(state: &Mutex<State>) -> WriteId {
        let (bucket, key) = (BucketName::new("b").unwrap(), Key::new("k").unwrap());
        let mut state = state.lock().unwrap();
        let room = state.catalog.reserve(&bucket, &key, ByteSize::new(1), now()).unwrap();
        room.given().expect("the arena is empty").id
    }

    /// Waits until the object is there or is not pending any more.
    fn is_there(state: &Mutex<State>) -> bool {
        loop {
            let caller = Caller::DAEMON;
            let found = state.lock().unwrap().catalog.acquire(&caller, "b", "k", TTL, now());
            match found {
                Ok(_) => return true,
                Err(Miss::Pending) => {
                    let end = state.lock().unwrap().end_of_write("b", "k");
                    step();
                    if let Some(mut end) = end {
                        // The sender is dropped: there is nothing to be seen.
                        assert!(block_on(end.changed()).is_err());
                    }
                }
                Err(_) => return false,
            }
        }
    }

    #[test]
    fn who_finds_an_object_being_written_learns_of_the_end_of_it() {
        for sealed in [false, true] {
            check(move || {
                let state = state();
                let id = begin(&state);
                let reader = {
                    let state = Arc::clone(&state);
                    thread::spawn(move || is_there(&state))
                };
                let mut writer = state.lock().unwrap();
                match sealed {
                    true => writer.seal(id, ByteSize::new(1), Checksum::new(0), now()),
                    false => writer.abort(id, false),
                }
                drop(writer);
                assert_eq!(reader.join().unwrap(), sealed);
            });
        }
    }

    #[test]
    fn who_waits_in_vain_waits_for_the_next_writer_of_the_same_key() {
        check(|| {
            let state = state();
            let id = begin(&state);
            let reader = {
                let state = Arc::clone(&state);
                thread::spawn(move || is_there(&state))
            };
            state.lock().unwrap().abort(id, false);
            let id = begin(&state);
            state.lock().unwrap().seal(id, ByteSize::new(1), Checksum::new(0), now());
            // It may have come between the two.
            reader.join().unwrap();
            assert!(is_there(&state));
            assert!(state.lock().unwrap().awaited.is_empty());
        });
    }
}
