//! State that the clients of one series of kills share with the thread that kills the daemon.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use kvlease_harness::oracle::{KeyState, Oracle};

use super::{gate::Gate, objects::Objects};
use crate::{clients::Seen, counts::Count};

/// Most faults whose text is kept; the others are counted.
const FAULTS_MAX: usize = 50;

/// Shared state.
#[derive(Debug)]
pub(super) struct Common {
    /// Whether the arena has room for all objects.
    pub(super) roomy: bool,
    /// Longest lease.
    pub(super) ttl_max: Duration,
    pub(super) clients: usize,
    /// Readers that read by the index all the time.
    pub(super) readers: usize,
    pub(super) seed: u64,
    pub(super) objects: Objects,
    pub(super) oracle: Oracle,
    pub(super) gate: Gate,
    pub(super) counts: Counts,
    pub(super) by_index: ByIndex,
    pub(super) faults: Faults,
}

impl Common {
    /// Judges the result of a reader that asked in the state `before` of the key.
    pub(super) fn judge(&self, index: usize, before: &KeyState, seen: &Seen, how: &str) {
        let after = self.oracle.get(index);
        let fault = match seen {
            Seen::Version(version) if before.allows(&after, *version) => return,
            Seen::Version(version) => format!("a version that cannot be there, {version}"),
            Seen::Absent if self.roomy && before.demands(&after) => "lost".to_owned(),
            Seen::Absent | Seen::Late => return,
            Seen::WrongBytes(_) | Seen::WrongChecksum => seen.to_string(),
        };
        self.fault(index, &fault, &format!("{how}, before=`{before:?}` after=`{after:?}`"));
    }

    /// Adds a fault of this key.
    pub(super) fn fault(&self, index: usize, what: &str, how: &str) {
        self.faults.add(format!("{what}, number=`{index}` {how}"));
    }
}

/// Faults, which are printed at once as well.
#[derive(Default, Debug)]
pub(super) struct Faults(Mutex<(u64, Vec<String>)>);

impl Faults {
    pub(super) fn add(&self, fault: String) {
        eprintln!("kvlease-soak: FAULT {fault}");
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.0 += 1;
        if faults.1.len() < FAULTS_MAX {
            faults.1.push(fault);
        }
    }

    /// Number of faults, and the first of them.
    pub(super) fn take(&self) -> (u64, Vec<String>) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts of the readers that read all the time.
#[derive(Default, Debug)]
pub(super) struct ByIndex {
    /// Reads by the index alone, with every byte right.
    pub(super) reads: AtomicU64,
    /// Of these, reads while the daemon was dead or started.
    pub(super) while_dead: AtomicU64,
    /// Keys that the index did not name.
    pub(super) unnamed: AtomicU64,
    /// Objects that connectors found in the index.
    pub(super) connector_hits: AtomicU64,
}

/// Counts of all clients together.
#[derive(Debug)]
pub(super) struct Counts(Vec<AtomicU64>);

impl Default for Counts {
    fn default() -> Self {
        Self(Count::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }
}

impl Counts {
    pub(super) fn add(&self, count: Count, more: u64) {
        self.0[count as usize].fetch_add(more, Relaxed);
    }

    pub(super) fn all(&self) -> Vec<u64> {
        self.0.iter().map(|count| count.load(Relaxed)).collect()
    }
}
