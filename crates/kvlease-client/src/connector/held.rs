//! Leases that a look-up took and the read that follows will use.
//!
//! The table is bounded twice: by [`HELD_LEASES_MAX`], beyond which the oldest lease is released
//! first, and by time, since nobody may ever read what was looked up. A lease leaves the table when
//! it is used. The mutex is never held across an await; leases are dropped, which releases them in
//! the background, after it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use kvlease_types::Key;

use super::{Inner, leased::Leased};

/// How many leases are held at a time.
pub const HELD_LEASES_MAX: usize = 4096;

/// How often what nobody used is released: a share of the retention, within these bounds.
const SWEEPS_PER_RETENTION: u32 = 4;
const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(10);
const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// The table.
#[derive(Default, Debug)]
pub(super) struct Held {
    state: Mutex<State>,
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
    leased: Leased,
    number: u64,
    /// When it is released unless it was used.
    until: Instant,
    /// When it is released however often it is held again: half of its life must be left to read.
    latest: Instant,
}

impl Held {
    /// Holds a lease that was asked for at `asked`; one that was held for the key is released.
    pub(super) fn put(&self, inner: &Arc<Inner>, key: &Key, leased: Leased, asked: Instant) {
        let life = leased.lease.deadline().saturating_duration_since(asked);
        let latest = asked + life / 2;
        let until = latest.min(Instant::now() + inner.config.lease_retention);
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.order.insert(number, key.clone());
        let entry = Entry { leased, number, until, latest };
        let replaced = state.leases.insert(key.clone(), entry);
        if let Some(replaced) = &replaced {
            state.order.remove(&replaced.number);
        }
        let beyond = (state.leases.len() > HELD_LEASES_MAX).then(|| state.take_oldest()).flatten();
        let sweep = !std::mem::replace(&mut state.sweeping, true);
        drop(state);
        if sweep {
            let sweeper = Sweeper { inner: Arc::downgrade(inner), ended: false };
            tokio::spawn(sweeper.run());
        }
        drop((replaced, beyond));
    }

    /// Holds a key's lease for longer; `false` if there is none with enough life left.
    pub(super) fn again(&self, key: &Key, retention: Duration) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(entry) = state.leases.get_mut(key) else { return false };
        let until = entry.latest.min(now + retention);
        let enough = until > now + retention / 2 && entry.leased.is_live();
        if enough {
            entry.until = until;
        }
        enough
    }

    /// Takes a key's lease out for use.
    pub(super) fn take(&self, key: &Key) -> Option<Leased> {
        let entry = self.lock().take(key)?;
        entry.usable()
    }

    /// Takes the leases of many keys out for use.
    pub(super) fn take_each(&self, keys: &[Key]) -> Vec<Option<Leased>> {
        let mut state = self.lock();
        let entries: Vec<_> = keys.iter().map(|key| state.take(key)).collect();
        drop(state);
        entries.into_iter().map(|entry| entry?.usable()).collect()
    }

    /// How many are held.
    pub(super) fn len(&self) -> usize {
        self.lock().leases.len()
    }

    /// Takes out everything.
    pub(super) fn take_all(&self) -> Vec<Leased> {
        let mut state = self.lock();
        state.order.clear();
        state.leases.drain().map(|(_, entry)| entry.leased).collect()
    }

    /// Releases what nobody used in time. `false` when nothing is left, and the sweeps end.
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
    fn usable(self) -> Option<Leased> {
        (self.until > Instant::now() && self.leased.is_live()).then_some(self.leased)
    }
}

impl State {
    fn take(&mut self, key: &Key) -> Option<Entry> {
        if self.leases.is_empty() {
            return None;
        }
        let entry = self.leases.remove(key)?;
        self.order.remove(&entry.number);
        Some(entry)
    }

    fn take_oldest(&mut self) -> Option<Entry> {
        let (_, key) = self.order.pop_first()?;
        self.leases.remove(&key)
    }
}

/// The sweeper: it runs while anything is held and the connector lives. If its runtime ends before
/// that, the next lease that is held starts another one.
struct Sweeper {
    inner: Weak<Inner>,
    ended: bool,
}

impl Sweeper {
    async fn run(mut self) {
        let interval = |inner: &Inner| {
            let interval = inner.config.lease_retention / SWEEPS_PER_RETENTION;
            interval.clamp(SWEEP_INTERVAL_MIN, SWEEP_INTERVAL_MAX)
        };
        let Some(interval) = self.inner.upgrade().map(|inner| interval(&inner)) else { return };
        while !self.ended {
            tokio::time::sleep(interval).await;
            let Some(inner) = self.inner.upgrade() else { return };
            self.ended = !inner.held.sweep();
            // What was released on the way is to reach the daemon even if no call follows.
            if let Some(lane) = inner.negotiation.open_lane() {
                lane.flush();
            }
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if !self.ended
            && let Some(inner) = self.inner.upgrade()
        {
            inner.held.lock().sweeping = false;
        }
    }
}
