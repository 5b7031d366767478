//! Numbers of calls of a tier.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of the calls that a tier gets.
#[derive(Default, Debug)]
pub(crate) struct Calls {
    pub(crate) find: AtomicU64,
    pub(crate) load: AtomicU64,
    pub(crate) store: AtomicU64,
    pub(crate) remove: AtomicU64,
    pub(crate) list: AtomicU64,
}

/// Number of calls that a tier got.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CallCounts {
    /// Calls of `find`.
    pub find: u64,
    /// Calls of `load`.
    pub load: u64,
    /// Calls of `store`.
    pub store: u64,
    /// Calls of `remove`.
    pub remove: u64,
    /// Calls of `list`.
    pub list: u64,
}

impl Calls {
    /// Counts so far.
    pub(crate) fn counts(&self) -> CallCounts {
        let of = |calls: &AtomicU64| calls.load(Relaxed);
        let Self { find, load, store, remove, list } = self;
        CallCounts {
            find: of(find),
            load: of(load),
            store: of(store),
            remove: of(remove),
            list: of(list),
        }
    }
}
