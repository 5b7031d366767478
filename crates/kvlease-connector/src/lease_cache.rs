//! Cache of prefetched leases: a look-up takes them, and the read that follows uses them.
//!
//! The table is bounded twice: by [`CACHED_LEASES_MAX`], beyond which the oldest lease is released
//! first, and by time, since no read may ever follow. A lease leaves the table when
//! it is used. The mutex is never held across an await; leases are dropped, which releases them in
//! the background, after it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use kvlease_types::Key;

use super::lease::Lease;

/// How many leases are cached at a time.
pub const CACHED_LEASES_MAX: usize = 4096;

/// How often unused leases are released: a share of the retention, within these bounds.
const SWEEPS_PER_RETENTION: u32 = 4;
const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(10);
const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// The cache.
pub(super) struct LeaseCache {
    state: Mutex<State>,
    retention: Duration,
    /// Sends releases that would wait for the next call, behind each sweep.
    flush: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default, Debug)]
struct State {
    leases: HashMap<Key, Entry>,
    /// The keys by the order in which their leases came.
    order: BTreeMap<u64, Key>,
    next: u64,
    sweeping: bool,
}

#[derive(Debug)]
struct Entry {
    lease: Lease,
    number: u64,
    /// When it is released unless it was used.
    until: Instant,
    /// When it is released however often it is kept for longer: half of its life must be left to read.
    latest: Instant,
}

impl LeaseCache {
    /// A cache that keeps leases for `retention`, and calls `flush` when it has released some.
    pub(super) fn new(retention: Duration, flush: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), retention, flush: Box::new(flush) })
    }

    /// Keeps a lease that was asked for at `asked`; an older one of the same key is released.
    pub(super) fn insert(self: &Arc<Self>, key: &Key, lease: Lease, asked: Instant) {
        let life = lease.deadline().saturating_duration_since(asked);
        let latest = asked + life / 2;
        let until = latest.min(Instant::now() + self.retention);
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.order.insert(number, key.clone());
        let entry = Entry { lease, number, until, latest };
        let replaced = state.leases.insert(key.clone(), entry);
        if let Some(replaced) = &replaced {
            state.order.remove(&replaced.number);
        }
        let beyond =
            (state.leases.len() > CACHED_LEASES_MAX).then(|| state.take_oldest()).flatten();
        let sweep = !std::mem::replace(&mut state.sweeping, true);
        drop(state);
        if sweep {
            let sweeper = Sweeper { cache: Arc::downgrade(self), ended: false };
            tokio::spawn(sweeper.run());
        }
        drop((replaced, beyond));
    }

    /// Keeps a key's lease for longer; `false` if there is none with enough life left.
    pub(super) fn extend(&self, key: &Key) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(entry) = state.leases.get_mut(key) else { return false };
        let until = entry.latest.min(now + self.retention);
        let enough = until > now + self.retention / 2 && entry.lease.is_live();
        if enough {
            entry.until = until;
        }
        enough
    }

    /// Whether each key has a lease here; nothing at all if the cache is empty.
    pub(super) fn has_each(&self, keys: &[Key]) -> Vec<bool> {
        let state = self.lock();
        if state.leases.is_empty() {
            return Vec::new();
        }
        keys.iter().map(|key| state.leases.contains_key(key)).collect()
    }

    /// Takes the leases of keys out for use; nothing at all if the cache is empty.
    pub(super) fn take_each(&self, keys: &[&Key]) -> Vec<Option<Lease>> {
        let mut state = self.lock();
        if state.leases.is_empty() {
            return Vec::new();
        }
        let entries: Vec<_> = keys.iter().map(|key| state.take(key)).collect();
        drop(state);
        entries.into_iter().map(|entry| entry?.usable()).collect()
    }

    /// How many leases it has.
    pub(super) fn len(&self) -> usize {
        self.lock().leases.len()
    }

    /// Takes out everything.
    pub(super) fn take_all(&self) -> Vec<Lease> {
        let mut state = self.lock();
        state.order.clear();
        state.leases.drain().map(|(_, entry)| entry.lease).collect()
    }

    /// Releases what was not used in time. `false` when nothing is left, and the sweeps end.
    fn sweep(&self) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let over: Vec<Key> = state
            .leases
            .iter()
            .filter(|(_, entry)| entry.until <= now)
            .map(|(key, _)| key.clone())
            .collect();
        let over: Vec<Entry> = over.iter().filter_map(|key| state.leases.remove(key)).collect();
        for entry in &over {
            state.order.remove(&entry.number);
        }
        state.sweeping = !state.leases.is_empty();
        let sweeping = state.sweeping;
        drop(state);
        drop(over);
        sweeping
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// The lease, if it can still be used.
    fn usable(self) -> Option<Lease> {
        (self.until > Instant::now() && self.lease.is_live()).then_some(self.lease)
    }
}

impl State {
    fn take(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.leases.remove(key)?;
        self.order.remove(&entry.number);
        Some(entry)
    }

    fn take_oldest(&mut self) -> Option<Entry> {
        let (_, key) = self.order.pop_first()?;
        self.leases.remove(&key)
    }
}

/// The sweeper: it runs while anything is kept and the connector lives. If its runtime ends before
/// that, the next lease that is kept starts another one.
struct Sweeper {
    cache: Weak<LeaseCache>,
    ended: bool,
}

impl Sweeper {
    async fn run(mut self) {
        let Some(retention) = self.cache.upgrade().map(|cache| cache.retention) else { return };
        let interval = retention / SWEEPS_PER_RETENTION;
        let interval = interval.clamp(SWEEP_INTERVAL_MIN, SWEEP_INTERVAL_MAX);
        while !self.ended {
            tokio::time::sleep(interval).await;
            let Some(cache) = self.cache.upgrade() else { return };
            self.ended = !cache.sweep();
            // What was released is to reach the daemon even if no call follows.
            (cache.flush)();
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if !self.ended
            && let Some(cache) = self.cache.upgrade()
        {
            cache.lock().sweeping = false;
        }
    }
}

impl fmt::Debug for LeaseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseCache").field("len", &self.len()).finish_non_exhaustive()
    }
}
