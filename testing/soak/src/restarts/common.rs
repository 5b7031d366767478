//! What the clients of one series of kills share with whoever kills the daemon.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    book::{Book, Entry},
    gate::Gate,
    objects::Objects,
    session::Seen,
};
use crate::soak::Count;

/// How many faults are kept in words; the others are counted.
const FAULTS_MAX: usize = 50;

/// What they share.
#[derive(Debug)]
pub(super) struct Common {
    /// Whether the arena has room for everything.
    pub(super) roomy: bool,
    /// The longest lease.
    pub(super) ttl_max: Duration,
    pub(super) clients: usize,
    pub(super) seed: u64,
    pub(super) objects: Objects,
    pub(super) book: Book,
    pub(super) gate: Gate,
    pub(super) counts: Counts,
    pub(super) faults: Faults,
}

impl Common {
    /// Judges what a reader got that knew `before` of the key when it asked.
    pub(super) fn judge(&self, index: usize, before: &Entry, seen: &Seen, how: &str) {
        let after = self.book.get(index);
        let fault = match seen {
            Seen::Version(version) if before.allows(&after, *version) => return,
            Seen::Version(version) => format!("a version that cannot be there, {version}"),
            Seen::Absent if self.roomy && before.demands(&after) => "lost".to_owned(),
            Seen::Absent | Seen::Late => return,
            Seen::Wrong(wrong) => wrong.clone(),
        };
        self.fault(index, &fault, &format!("{how}, before=`{before:?}` after=`{after:?}`"));
    }

    /// Something is wrong with this key.
    pub(super) fn fault(&self, index: usize, what: &str, how: &str) {
        self.faults.add(format!("{what}, number=`{index}` {how}"));
    }
}

/// What went wrong, told at once as well.
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

    /// How many there were, and the first of them.
    pub(super) fn take(&self) -> (u64, Vec<String>) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What all clients together have done.
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
