//! The reservations of one connection.

use std::collections::BTreeMap;

use kvlease_engine::Reservation;
use kvlease_sys::boot_time;
use kvlease_types::Timestamp;
use tokio::time::sleep;

/// The most reservations that a connection may have open.
const OPEN_MAX: usize = 4_096;

/// The reservations that a connection has neither committed nor aborted, by name. All of them
/// have the same time, so the first is the first to end.
#[derive(Default, Debug)]
pub(super) struct Reservations {
    open: BTreeMap<u64, Reservation>,
    named: u64,
}

impl Reservations {
    /// Whether another one may be opened.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < OPEN_MAX
    }

    /// Keeps it. Returns its name.
    pub(super) fn add(&mut self, reservation: Reservation) -> (u64, &Reservation) {
        self.named += 1;
        (self.named, self.open.entry(self.named).or_insert(reservation))
    }

    pub(super) fn take(&mut self, name: u64) -> Option<Reservation> {
        self.open.remove(&name)
    }

    /// When the first of them has to be given up.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.open.first_key_value().map(|(_, reservation)| reservation.until())
    }

    /// Aborts those into which nobody can be writing any more.
    pub(super) fn end_overdue(&mut self) {
        let now = boot_time();
        while let Some(first) = self.open.first_entry()
            && first.get().until() <= now
        {
            first.remove();
        }
    }

    /// Holds them until nobody can be writing into them, whoever was told of them.
    pub(super) async fn outlive_writers(mut self) {
        while let Some(until) = self.next_end() {
            sleep(until.since(boot_time())).await;
            self.end_overdue();
        }
    }
}
