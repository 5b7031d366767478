//! Reserving space that a client writes objects into by itself.

use std::sync::Arc;

use kvlease_types::{BucketName, ByteSize, Caller, Key, Timestamp, WriteRefused};

use super::part::PART;
use crate::{
    clock::now, drain::StateGuard, held_space::HeldSpace, reservation::Reservation, shared::Shared,
    write::Write,
};

/// Limits of a request, from the reservations that its caller has open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReserveLimits {
    /// Further reservations that the caller may have.
    pub reservations: usize,
    /// Bytes of the reservations that are open.
    pub open: ByteSize,
}

/// Parts of the arena that the open reservations of one caller, and of all, may have.
const CALLER_PART: u64 = 4;
const ALL_PART: u64 = 2;

/// Bytes that these parts are at least: what a native connector reserves with one request.
const PART_MIN: u64 = 128 << 20;

/// Part of the arena that is left to others in any case.
const OTHERS_PART: u64 = 8;

/// The most bytes that open reservations may have where they are this part of the arena.
fn share(capacity: ByteSize, part: u64) -> ByteSize {
    let capacity = capacity.bytes();
    ByteSize::new((capacity / part).max(PART_MIN).min(capacity - capacity / OTHERS_PART))
}

fn sum(a: ByteSize, b: ByteSize) -> ByteSize {
    ByteSize::new(a.bytes().saturating_add(b.bytes()))
}

impl Shared {
    /// See [`Engine::reserve`](crate::Engine::reserve).
    pub(crate) fn reserve(
        self: &Arc<Self>,
        caller: &Caller,
        bucket: &BucketName,
        items: Vec<(Key, ByteSize)>,
        mut limits: ReserveLimits,
    ) -> Vec<Result<Reservation, WriteRefused>> {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut items = items.into_iter();
        let (mut refused, now) = (0, now());
        while items.len() > 0 {
            let first = outcomes.len();
            let mut state = self.state();
            for (key, len) in items.by_ref().take(PART) {
                let name = (bucket.clone(), key);
                let outcome = self.reserve_one(&mut state, caller, name, len, now, limits);
                if let Ok(reservation) = &outcome {
                    limits.reservations -= 1;
                    limits.open = sum(limits.open, reservation.len);
                }
                let limited = matches!(outcome, Err(WriteRefused::TooManyReservations));
                refused += u64::from(limited);
                outcomes.push(outcome);
            }
            drop(state);
            // Before a client learns of the extents, the lease fence learns until when they must not
            // be used by others, even by another incarnation of the daemon.
            for reservation in outcomes[first..].iter().flatten() {
                self.arena.lease_fence().raise(&reservation.extents, reservation.until());
            }
        }
        if refused > 0 {
            self.report_refused_reservations(caller, refused, now);
        }
        outcomes
    }

    fn reserve_one(
        self: &Arc<Self>,
        state: &mut StateGuard<'_>,
        caller: &Caller,
        name: (BucketName, Key),
        len: ByteSize,
        now: Timestamp,
        limits: ReserveLimits,
    ) -> Result<Reservation, WriteRefused> {
        let (object_len_max, capacity) = (self.config.object_len_max, self.arena.capacity());
        if len > object_len_max {
            return Err(WriteRefused::TooLarge { object_len_max });
        }
        // Before the limits below: what can never fit is not to be tried again.
        if len > capacity {
            return Err(WriteRefused::BeyondCapacity { capacity });
        }
        // An object alone may be as large as the arena.
        let of_caller = sum(limits.open, len);
        let fits = limits.open == ByteSize::ZERO || of_caller <= share(capacity, CALLER_PART);
        let alone = self.reserved.is_free();
        let most = if alone { ByteSize::new(u64::MAX) } else { share(capacity, ALL_PART) };
        let mut held = HeldSpace::none(&self.reserved);
        if limits.reservations == 0 || !fits || !held.try_take(len.bytes(), most) {
            return Err(WriteRefused::TooManyReservations);
        }
        let (write, extents) = Write::begin(self, state, caller, name, (len, len), now)?;
        let deadline = now.after(self.config.reservation_ttl);
        Ok(Reservation { write, extents, len, deadline, _held: held })
    }

    /// Warns, now and then, that clients get no reservations.
    fn report_refused_reservations(&self, caller: &Caller, refused: u64, now: Timestamp) {
        if let Some(refused) = self.refused_reservations.count(refused, now) {
            tracing::warn!(
                %caller,
                refused,
                "reservations are refused: this client, or all together, have as much open as they \
                 may; see that clients commit or abort theirs"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_small_arenas_let_a_request_of_a_connector_through() {
        let mib = ByteSize::mib;
        let shares = |capacity| [CALLER_PART, ALL_PART].map(|part| share(capacity, part));
        assert_eq!(shares(mib(64)), [mib(56); 2]);
        assert_eq!(shares(mib(256)), [mib(128); 2]);
        assert_eq!(shares(mib(8192)), [mib(2048), mib(4096)]);
    }
}
