//! Reserving space that a client writes objects into by itself.

use std::sync::Arc;

use kvlease_types::{BucketName, ByteSize, Caller, Key, WriteRefused};

use super::part::PART;
use crate::{clock::now, reservation::Reservation, shared::Shared, write::Write};

impl Shared {
    /// See [`Engine::reserve`](crate::Engine::reserve).
    pub(crate) fn reserve(
        self: &Arc<Self>,
        caller: &Caller,
        bucket: &BucketName,
        items: Vec<(Key, ByteSize)>,
        reservations_max: usize,
    ) -> Vec<Result<Reservation, WriteRefused>> {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut items = items.into_iter();
        let mut left = reservations_max;
        while items.len() > 0 {
            let first = outcomes.len();
            let mut state = self.state();
            let now = now();
            for (key, len) in items.by_ref().take(PART) {
                if left == 0 {
                    outcomes.push(Err(WriteRefused::TooManyReservations));
                    continue;
                }
                let begun = Write::begin(self, &mut state, caller, (bucket.clone(), key), len, now);
                left -= usize::from(begun.is_ok());
                outcomes.push(begun.map(|(write, extents)| {
                    let deadline = now.after(self.config.reservation_ttl);
                    Reservation { write, extents, len, deadline }
                }));
            }
            drop(state);
            // Before a client learns of the extents, the lease fence learns until when they must not
            // be used by others, even by another incarnation of the daemon.
            for reservation in outcomes[first..].iter().flatten() {
                self.arena.lease_fence().raise(&reservation.extents, reservation.until());
            }
        }
        outcomes
    }
}
