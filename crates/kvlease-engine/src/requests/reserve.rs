//! Reserving space that a client writes objects into by itself.

use std::sync::Arc;

use kvlease_types::{BucketName, ByteSize, Caller, Key, Timestamp, WriteRefused};

use super::part::PART;
use crate::{
    clock::now,
    drain::StateGuard,
    open_reservations::{Counted, Shares},
    reservation::Reservation,
    shared::Shared,
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

impl ReserveLimits {
    /// Takes a reservation of this length out of them.
    pub(super) fn take(&mut self, len: ByteSize) {
        self.reservations -= 1;
        self.open = ByteSize::new(self.open.bytes().saturating_add(len.bytes()));
    }
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
            let (first, mut named) = (outcomes.len(), Vec::new());
            let mut state = self.state();
            let shares = Shares::of(self.arena.capacity(), state.catalog.slots_max());
            for (key, len) in items.by_ref().take(PART) {
                let kept = self.capture.is_some().then(|| key.clone());
                let name = (bucket.clone(), key);
                let outcome =
                    self.reserve_one(&mut state, caller, name, (len, now), (limits, &shares));
                if let Ok(reservation) = &outcome {
                    limits.take(reservation.len);
                }
                let limited = matches!(outcome, Err(WriteRefused::TooManyReservations));
                refused += u64::from(limited);
                if let (Err(refused), Some(key)) = (&outcome, kept) {
                    named.push((key, len.bytes(), Some(*refused)));
                }
                outcomes.push(outcome);
            }
            drop(state);
            self.protect(&outcomes[first..]);
            if let Some(capture) = &self.capture {
                let puts = named.iter().map(|(key, len, refused)| (key, *len, *refused));
                capture.put(caller, bucket.as_str(), puts);
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
        (len, now): (ByteSize, Timestamp),
        (limits, shares): (ReserveLimits, &Shares),
    ) -> Result<Reservation, WriteRefused> {
        let (object_len_max, capacity) = (self.config.object_len_max, self.arena.capacity());
        if len > object_len_max {
            return Err(WriteRefused::TooLarge { object_len_max });
        }
        // Before the limits below: what can never fit is not to be tried again.
        if len > capacity {
            return Err(WriteRefused::BeyondCapacity { capacity });
        }
        let counted = self.count_reservation(caller, len, (limits, shares));
        let counted = counted.ok_or(WriteRefused::TooManyReservations)?;
        let (write, extents) = Write::begin(self, state, caller, name, (len, len), now)?;
        let deadline = now.after(self.config.reservation_ttl);
        Ok(Reservation { write, extents, len, deadline, _counted: counted, _spare: None })
    }

    /// Counts one more reservation, if the limits and shares allow it.
    pub(super) fn count_reservation(
        &self,
        caller: &Caller,
        len: ByteSize,
        (limits, shares): (ReserveLimits, &Shares),
    ) -> Option<Counted> {
        let fits = limits.reservations > 0 && shares.allow_caller(limits.open, len);
        fits.then(|| self.reserved.count(caller.user(), len, shares)).flatten()
    }

    /// Before a client learns of extents, the lease fence learns until when they must not be used by
    /// others, even by another incarnation of the daemon.
    pub(super) fn protect(&self, outcomes: &[Result<Reservation, WriteRefused>]) {
        for reservation in outcomes.iter().flatten() {
            self.arena.lease_fence().raise(&reservation.extents, reservation.until());
        }
    }

    /// Warns, now and then, that clients get no reservations.
    fn report_refused_reservations(&self, caller: &Caller, refused: u64, now: Timestamp) {
        if let Some(refused) = self.refused_reservations.count(refused, now) {
            tracing::warn!(
                %caller,
                refused,
                "reservations are refused: this client, its user, or all together, have as much open \
                 as they may; see that clients commit or abort theirs"
            );
        }
    }
}
