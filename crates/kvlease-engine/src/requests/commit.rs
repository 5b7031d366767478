//! Publishing and discarding what clients wrote by themselves.

use kvlease_types::{Caller, Checksum, WriteRefused};

use super::part::PART;
use crate::{clock::now, reservation::Reservation, shared::Shared, write::Stored};

impl Shared {
    /// See [`Engine::commit`](crate::Engine::commit).
    pub(crate) fn commit(
        &self,
        caller: &Caller,
        items: Vec<(Reservation, Checksum)>,
    ) -> Vec<Result<Stored, WriteRefused>> {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut items = items.into_iter();
        while items.len() > 0 {
            // Dropping a reservation locks the catalog: those that are refused outlive the lock.
            let (mut discarded, mut named) = (Vec::new(), Vec::new());
            let mut state = self.state();
            let now = now();
            for (reservation, checksum) in items.by_ref().take(PART) {
                let Reservation { mut write, len, deadline, .. } = reservation;
                // A spare one has no name to be published under.
                let refused = if write.caller.owner != caller.owner || write.is_spare() {
                    Some(WriteRefused::Unknown)
                } else {
                    (now >= deadline).then_some(WriteRefused::Expired)
                };
                named.extend(write.name.take().map(|name| (name, len.bytes(), refused)));
                outcomes.push(match refused {
                    None => Ok(write.seal(&mut state, len, checksum, now)),
                    Some(refused) => {
                        discarded.push(write);
                        Err(refused)
                    }
                });
            }
            drop(state);
            if let Some(capture) = &self.capture {
                // Those of one bucket after the other's together.
                for puts in named.chunk_by(|one, next| one.0.0 == next.0.0) {
                    let bucket = puts[0].0.0.as_str();
                    let puts = puts.iter().map(|((_, key), len, refused)| (key, *len, *refused));
                    capture.put(caller, bucket, puts);
                }
            }
        }
        outcomes
    }

    /// See [`Engine::abort`](crate::Engine::abort).
    pub(crate) fn abort(&self, reservations: Vec<Reservation>) {
        let mut reservations = reservations.into_iter();
        while reservations.len() > 0 {
            let mut state = self.state();
            for reservation in reservations.by_ref().take(PART) {
                reservation.write.abort(&mut state);
            }
        }
    }
}
