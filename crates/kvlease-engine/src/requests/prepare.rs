//! Spare reservations: space ahead of need, for objects whose keys come later.
//!
//! A client that has some stores an object with one exchange. They count as reservations of their caller
//! and user, have a share of their own, and are made of free space only: nothing is evicted for them.

use std::sync::Arc;

use kvlease_types::{ByteSize, Caller, Timestamp, WriteRefused};

use super::{part::PART, reserve::ReserveLimits};
use crate::{
    clock::now, drain::StateGuard, held_space::HeldSpace, open_reservations::Shares,
    reservation::Reservation, shared::Shared, write::Write,
};

/// Part of the arena that all spare reservations together may have.
const SPARE_PART: u64 = 64;

impl Shared {
    /// See [`Engine::prepare`](crate::Engine::prepare).
    pub(crate) fn prepare(
        self: &Arc<Self>,
        caller: &Caller,
        lens: impl ExactSizeIterator<Item = ByteSize>,
        mut limits: ReserveLimits,
    ) -> Vec<Result<Reservation, WriteRefused>> {
        let mut outcomes = Vec::with_capacity(lens.len());
        let (mut lens, now) = (lens, now());
        while lens.len() > 0 {
            let first = outcomes.len();
            let mut state = self.state();
            let shares = Shares::of(self.arena.capacity(), state.catalog.slots_max());
            for len in lens.by_ref().take(PART) {
                let outcome = self.prepare_one(&mut state, caller, (len, now), (limits, &shares));
                if let Ok(reservation) = &outcome {
                    limits.take(reservation.len);
                }
                outcomes.push(outcome);
            }
            drop(state);
            // As for every reservation, before its client learns of the extents.
            self.protect(&outcomes[first..]);
        }
        outcomes
    }

    fn prepare_one(
        self: &Arc<Self>,
        state: &mut StateGuard<'_>,
        caller: &Caller,
        (len, now): (ByteSize, Timestamp),
        (limits, shares): (ReserveLimits, &Shares),
    ) -> Result<Reservation, WriteRefused> {
        let object_len_max = self.config.object_len_max;
        if len > object_len_max {
            return Err(WriteRefused::TooLarge { object_len_max });
        }
        let mut spare = HeldSpace::none(&self.spare);
        let share = ByteSize::new(self.arena.capacity().bytes() / SPARE_PART);
        let counted = self.count_reservation(caller, len, (limits, shares));
        let counted = counted.filter(|_| spare.try_take(len.bytes(), share));
        let counted = counted.ok_or(WriteRefused::TooManyReservations)?;
        let (write, extents) = Write::begin_spare(self, state, caller, len)?;
        let deadline = now.after(self.config.reservation_ttl);
        Ok(Reservation { write, extents, len, deadline, _counted: counted, _spare: Some(spare) })
    }
}
