//! The catalog, and who waits for what is being written.
//!
//! Both change together, under one lock: whoever finds an object being written waits for its end
//! from the same moment on, and whoever ends the writing wakes all who found it so.

use std::{collections::HashMap, time::Duration};

use kvlease_cache::{Acquired, Catalog, Lease, WriteId};
use kvlease_types::{ByteSize, Checksum, Timestamp};
use tokio::sync::watch;

use crate::error::LeaseRefused;

/// What the engine's one mutex guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) catalog: Catalog,
    /// The writes that somebody waits for: an entry is made by the first who does.
    awaited: HashMap<WriteId, watch::Sender<()>>,
}

/// Why an object cannot be leased at this moment.
#[derive(Debug)]
pub(crate) enum Unavailable {
    Absent {
        evicted: bool,
    },
    TooManyLeases,
    MemoryShort,
    /// It is being written; the receiver wakes when that ends, either way.
    Writing(watch::Receiver<()>),
}

impl State {
    pub(crate) fn new(catalog: Catalog) -> Self {
        Self { catalog, awaited: HashMap::new() }
    }

    /// Leases an object if that is there now.
    pub(crate) fn acquire(
        &mut self,
        bucket: &str,
        key: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Lease, Unavailable> {
        let acquired = self.catalog.acquire(bucket, key, ttl, now);
        outcome(acquired, &mut self.awaited)
    }

    /// Leases many objects, and tells `each` what became of every key until that has seen enough.
    pub(crate) fn acquire_many(
        &mut self,
        bucket: &str,
        keys: &[&str],
        ttl: Duration,
        now: Timestamp,
        mut each: impl FnMut(Result<Lease, Unavailable>) -> bool,
    ) {
        let Self { catalog, awaited } = self;
        let each = |acquired| each(outcome(acquired, awaited));
        catalog.acquire_many(bucket, keys, ttl, now, each);
    }

    /// Publishes what was written, and wakes all who wait for it.
    pub(crate) fn seal(&mut self, id: WriteId, len: ByteSize, checksum: Checksum, now: Timestamp) {
        self.catalog
            .seal(id, len, checksum, now)
            .expect("a write is known, with its space, until its guard seals or aborts it");
        self.wake(id);
    }

    /// Discards what was written, and wakes all who wait for it.
    pub(crate) fn abort(&mut self, id: WriteId) {
        self.catalog.abort(id);
        self.wake(id);
    }

    /// Wakes by dropping the sender.
    fn wake(&mut self, id: WriteId) {
        self.awaited.remove(&id);
    }
}

/// To who does not wait, what is being written is not there.
impl From<Unavailable> for LeaseRefused {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Absent { evicted } => Self::Absent { evicted },
            Unavailable::Writing(_) => Self::Absent { evicted: false },
            Unavailable::TooManyLeases => Self::TooManyLeases,
            Unavailable::MemoryShort => Self::MemoryShort,
        }
    }
}

fn outcome(
    acquired: Acquired,
    awaited: &mut HashMap<WriteId, watch::Sender<()>>,
) -> Result<Lease, Unavailable> {
    Err(match acquired {
        Acquired::Leased(lease) => return Ok(lease),
        Acquired::Writing(id) => {
            let end = awaited.entry(id).or_insert_with(|| watch::channel(()).0);
            Unavailable::Writing(end.subscribe())
        }
        Acquired::Absent { evicted } => Unavailable::Absent { evicted },
        Acquired::TooManyLeases => Unavailable::TooManyLeases,
        Acquired::MemoryShort => Unavailable::MemoryShort,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kvlease_cache::CatalogConfig;
    use kvlease_testing::model::{block_on, check, step};
    use kvlease_types::{BucketName, Epoch, Key};
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
        state.catalog.reserve(bucket, key, ByteSize::new(1), now()).unwrap().id
    }

    /// Waits until the object is there or is not being written any more.
    fn is_there(state: &Mutex<State>) -> bool {
        loop {
            let found = state.lock().unwrap().acquire("b", "k", TTL, now());
            match found {
                Ok(_) => return true,
                Err(Unavailable::Writing(mut end)) => {
                    step();
                    // The sender is dropped: there is nothing to be seen.
                    assert!(block_on(end.changed()).is_err());
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
                    false => writer.abort(id),
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
            state.lock().unwrap().abort(id);
            let id = begin(&state);
            state.lock().unwrap().seal(id, ByteSize::new(1), Checksum::new(0), now());
            // It may have come between the two.
            reader.join().unwrap();
            assert!(is_there(&state));
            assert!(state.lock().unwrap().awaited.is_empty());
        });
    }
}
