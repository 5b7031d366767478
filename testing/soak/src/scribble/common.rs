//! State that the clients and the scribbler share.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use kvlease_harness::oracle::{KeyState, Oracle};

use crate::{clients::Seen, workload::Workload};

/// Lengths of objects: some of a unit, some that take a copy some time.
pub(super) const LENS: RangeInclusive<u64> = 1 << 10..=512 << 10;

/// Size of all objects together, in sizes of the arena.
pub(super) const OVERCOMMIT: u64 = 2;

/// Most faults whose text is kept; the others are counted.
const FAULTS_MAX: usize = 50;

/// Shared state.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) seed: u64,
    pub(super) clients: usize,
    pub(super) oracle: Oracle,
    pub(super) workload: Workload,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    faults: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Common {
    pub(super) fn new(seed: u64, clients: usize, oracle: Oracle, workload: Workload) -> Self {
        let (counts, faults, ended) = Default::default();
        Self { seed, clients, oracle, workload, counts, faults, ended }
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    pub(super) fn count(&self, what: &'static str, more: u64) {
        *locked(&self.counts).entry(what).or_default() += more;
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        locked(&self.counts).iter().map(|(what, count)| ((*what).to_owned(), *count)).collect()
    }

    /// Judges bytes that a connector returned, to a reader that asked in the state `before` of the key.
    pub(super) fn judge(&self, index: usize, before: &KeyState, seen: &Seen) {
        let after = self.oracle.get(index);
        if matches!(seen, Seen::Version(version) if before.allows(&after, *version)) {
            return self.count("objects read, every byte right", 1);
        }
        self.count("wrong objects", 1);
        self.fault(format!("{seen}, number=`{index}` before=`{before:?}` after=`{after:?}`"));
    }

    /// Adds a fault, which is printed at once as well.
    pub(super) fn fault(&self, fault: String) {
        eprintln!("kvlease-soak: FAULT {fault}");
        self.count("faults", 1);
        let mut faults = locked(&self.faults);
        if faults.len() < FAULTS_MAX {
            faults.push(fault);
        }
    }

    pub(super) fn faults(&self) -> Vec<String> {
        locked(&self.faults).clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No section leaves its state half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
