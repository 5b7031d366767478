//! Reservations that are open: of all clients and of each user, within shares.
//!
//! What is reserved is of no use to others until it is committed or given up. So one connection, one
//! user and all together have shares of the arena and of the catalog's slots: however many
//! connections a user opens, other users find some left.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard},
};

use kvlease_types::{ByteSize, User};

/// Parts of the arena, in eighths: of one caller, of one user, and of all.
const CALLER_EIGHTHS: u64 = 2;
const USER_EIGHTHS: u64 = 3;
const ALL_EIGHTHS: u64 = 4;
const EIGHTHS: u64 = 8;

/// Bytes that these parts are at least: for a caller and for a user what a native connector reserves
/// with one request; for all, half of that more.
const PART_MIN: u64 = 128 << 20;
const ALL_PART_MIN: u64 = PART_MIN / 2 * 3;

/// Eighths of the arena that are left in any case: by a user to others, and by all together.
const LEFT_BY_USER: u64 = 2;
const LEFT_BY_ALL: u64 = 1;

/// Number of reservations, and the sum of their lengths.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Amount {
    reservations: u64,
    bytes: u64,
}

/// The most that may be open. An object alone may be as large as the arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shares {
    /// Bytes of one caller.
    caller: u64,
    user: Amount,
    all: Amount,
}

/// Open reservations of all clients.
#[derive(Default, Debug)]
pub(crate) struct OpenReservations(Mutex<Sums>);

#[derive(Default, Debug)]
struct Sums {
    all: Amount,
    /// Of each user that has any.
    users: BTreeMap<User, Amount>,
}

/// Part of the sums that one reservation is. Dropping it takes it out of them.
#[derive(Debug)]
pub(crate) struct Counted {
    open: Arc<OpenReservations>,
    user: User,
    len: u64,
}

impl Shares {
    /// Shares of an arena of this capacity, and of the slots of a catalog.
    pub(crate) fn of(capacity: ByteSize, slots: u32) -> Self {
        let eighths = |whole: u64, eighths| {
            (u128::from(whole) * u128::from(eighths) / u128::from(EIGHTHS)) as u64
        };
        let (capacity, slots) = (capacity.bytes(), u64::from(slots));
        let bytes = |part, least: u64, left| {
            eighths(capacity, part).max(least).min(eighths(capacity, EIGHTHS - left))
        };
        let amount = |part, least, left| Amount {
            reservations: eighths(slots, part).max(1),
            bytes: bytes(part, least, left),
        };
        Self {
            caller: bytes(CALLER_EIGHTHS, PART_MIN, LEFT_BY_USER),
            user: amount(USER_EIGHTHS, PART_MIN, LEFT_BY_USER),
            all: amount(ALL_EIGHTHS, ALL_PART_MIN, LEFT_BY_ALL),
        }
    }

    /// Whether a caller that has `open` bytes of reservations may have one of `len` more.
    pub(crate) fn allow_caller(&self, open: ByteSize, len: ByteSize) -> bool {
        open == ByteSize::ZERO || open.bytes().saturating_add(len.bytes()) <= self.caller
    }
}

impl Amount {
    const fn with(self, len: u64) -> Self {
        Self { reservations: self.reservations + 1, bytes: self.bytes.saturating_add(len) }
    }

    const fn without(self, len: u64) -> Self {
        Self { reservations: self.reservations - 1, bytes: self.bytes - len }
    }

    /// Whether one reservation of `len` more stays within the share.
    const fn has_room(self, len: u64, share: Self) -> bool {
        let Self { reservations, bytes } = self.with(len);
        reservations <= share.reservations && (self.bytes == 0 || bytes <= share.bytes)
    }
}

impl OpenReservations {
    /// Counts one more reservation of this length, if the shares of the user and of all allow it.
    pub(crate) fn count(
        self: &Arc<Self>,
        user: User,
        len: ByteSize,
        shares: &Shares,
    ) -> Option<Counted> {
        let (mut sums, len) = (self.lock(), len.bytes());
        let Sums { all, users } = &mut *sums;
        let entry = users.entry(user);
        let used = match &entry {
            Entry::Occupied(used) => *used.get(),
            Entry::Vacant(_) => Amount::default(),
        };
        if !used.has_room(len, shares.user) || !all.has_room(len, shares.all) {
            return None;
        }
        *entry.or_default() = used.with(len);
        *all = all.with(len);
        Some(Counted { open: Arc::clone(self), user, len })
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().expect("a panic ends the process")
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut sums = self.open.lock();
        sums.all = sums.all.without(self.len);
        if let Entry::Occupied(mut used) = sums.users.entry(self.user) {
            *used.get_mut() = used.get().without(self.len);
            if used.get().reservations == 0 {
                used.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: User = User::Uid(1);
    const OTHER: User = User::Uid(2);

    #[test]
    fn shares_of_small_arenas_let_a_request_of_a_connector_through_and_leave_others_some() {
        let mib = ByteSize::mib;
        let shares = |capacity| {
            let Shares { caller, user, all } = Shares::of(capacity, 0);
            [caller, user.bytes, all.bytes].map(ByteSize::new)
        };
        assert_eq!(shares(mib(64)), [mib(48), mib(48), mib(56)]);
        assert_eq!(shares(mib(256)), [mib(128), mib(128), mib(192)]);
        assert_eq!(shares(mib(512)), [mib(128), mib(192), mib(256)]);
        assert_eq!(shares(mib(8192)), [mib(2048), mib(3072), mib(4096)]);
        for capacity in (1..64).map(|bits| ByteSize::new((1 << bits) + 8)) {
            let [caller, user, all] = shares(capacity);
            assert!(caller <= user && user < all && all < capacity, "{capacity}");
        }
    }

    #[test]
    fn a_user_has_a_share_of_bytes_and_all_have_one() {
        let open = Arc::new(OpenReservations::default());
        let shares = Shares::of(ByteSize::new(80), 800);
        let count = |user, len| open.count(user, ByteSize::new(len), &shares);
        let large = count(ONE, 79).unwrap();
        assert!(count(OTHER, 1).is_none(), "one object alone may take what all may");
        drop(large);
        let first = count(ONE, 50).unwrap();
        assert!(count(ONE, 11).is_none());
        let second = count(ONE, 10).unwrap();
        assert!(count(ONE, 1).is_none(), "60 are the user's share");
        let others = count(OTHER, 10).unwrap();
        assert!(count(OTHER, 1).is_none(), "70 are the share of all");
        drop(first);
        assert!(count(ONE, 50).is_some());
        drop((second, others));
        assert_eq!(open.lock().all, Amount::default());
        assert!(open.lock().users.is_empty());
    }

    #[test]
    fn a_user_has_a_share_of_the_number_and_all_have_one() {
        let open = Arc::new(OpenReservations::default());
        let shares = Shares::of(ByteSize::gib(1), 80);
        let fill = |user| {
            std::iter::from_fn(|| open.count(user, ByteSize::ZERO, &shares)).collect::<Vec<_>>()
        };
        let [one, other] = [ONE, OTHER].map(fill);
        assert_eq!([one.len(), other.len()], [30, 10]);
        drop(one);
        assert_eq!(fill(User::Uid(3)).len(), 30);
    }
}
