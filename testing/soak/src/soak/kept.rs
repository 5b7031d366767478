//! Leases that a reader keeps for a while, to read the same bytes again.

use std::time::Instant;

use kvlease_harness::oracle::KeyState;

use crate::clients::Leased;

/// Most leases that one reader keeps.
const KEPT_MAX: usize = 8;

/// Lease that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) lease: Leased,
    /// Index of the key.
    pub(super) index: usize,
    /// State of the key before the lease was requested.
    pub(super) before: KeyState,
    /// Version of the first read; `None` if its bytes were wrong.
    pub(super) version: Option<u64>,
    /// Time of the next read.
    pub(super) due: Instant,
    /// Whether to renew it then.
    pub(super) renew: bool,
}

/// Kept leases of one reader.
#[derive(Default, Debug)]
pub(super) struct KeptLeases(Vec<Kept>);

impl KeptLeases {
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < KEPT_MAX
    }

    pub(super) fn keep(&mut self, kept: Kept) {
        self.0.push(kept);
    }

    /// Takes out a lease whose next read is due.
    pub(super) fn take_due(&mut self) -> Option<Kept> {
        let now = Instant::now();
        let place = self.0.iter().position(|kept| kept.due <= now)?;
        Some(self.0.swap_remove(place))
    }
}
