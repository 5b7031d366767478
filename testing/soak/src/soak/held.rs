//! Leases that a reader keeps for a while, to look at the same bytes again.

use std::time::Instant;

use super::{grant::Grant, versions::Known};

/// How many leases one reader keeps.
pub(super) const HELD_MAX: usize = 8;

/// A lease that is kept.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) lease: Grant,
    /// Number of the key.
    pub(super) index: usize,
    /// What was known of the key before the lease was asked for.
    pub(super) before: Known,
    /// The version that was read under it first.
    pub(super) version: Option<u64>,
    /// When to look again.
    pub(super) due: Instant,
    /// Whether to renew it then.
    pub(super) renew: bool,
}

/// The kept leases of one reader.
#[derive(Default, Debug)]
pub(super) struct HeldLeases(Vec<Held>);

impl HeldLeases {
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < HELD_MAX
    }

    pub(super) fn keep(&mut self, held: Held) {
        self.0.push(held);
    }

    /// One whose time has come.
    pub(super) fn take_due(&mut self) -> Option<Held> {
        let now = Instant::now();
        let place = self.0.iter().position(|held| held.due <= now)?;
        Some(self.0.swap_remove(place))
    }
}
