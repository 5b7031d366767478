//! Publishing what clients wrote into spare reservations.

use kvlease_types::{BucketName, ByteSize, Caller, Checksum, Key, WriteRefused};

use super::part::PART;
use crate::{
    clock::now, drain::StateGuard, reservation::Reservation, shared::Shared, write::Stored,
};

/// An object to publish.
#[derive(Debug)]
pub struct StoreItem {
    /// Where its bytes are.
    pub reservation: Reservation,
    /// Its key.
    pub key: Key,
    /// Its length: no more than the reservation has.
    pub len: ByteSize,
    /// The checksum that the caller computed from the bytes it wrote.
    pub checksum: Checksum,
}

/// Refusal of a store. Where only the name was refused, the reservation stays as it is.
#[derive(Debug)]
pub struct NotStored {
    /// The reason.
    pub refused: WriteRefused,
    /// The reservation, open; `None` if it was discarded.
    pub reservation: Option<Reservation>,
}

impl Shared {
    /// See [`Engine::store`](crate::Engine::store).
    pub(crate) fn store_spares(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        items: Vec<StoreItem>,
    ) -> Vec<Result<Stored, NotStored>> {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut items = items.into_iter();
        while items.len() > 0 {
            // Dropping a reservation locks the catalog: those that are discarded outlive the lock.
            let (mut discarded, mut named) = (Vec::new(), Vec::new());
            let mut state = self.state();
            for mut item in items.by_ref().take(PART) {
                let stored = store_one(&mut state, caller, bucket, &mut item);
                if self.capture.is_some() {
                    named.push((
                        item.key.clone(),
                        item.len.bytes(),
                        stored.as_ref().err().copied(),
                    ));
                }
                let reservation = match stored {
                    Err(refused) if keeps(refused) => Some(item.reservation),
                    _ => {
                        discarded.push(item.reservation);
                        None
                    }
                };
                outcomes.push(stored.map_err(|refused| NotStored { refused, reservation }));
            }
            drop(state);
            if let Some(capture) = &self.capture {
                let puts = named.iter().map(|(key, len, refused)| (key, *len, *refused));
                capture.put(caller, bucket.as_str(), puts);
            }
        }
        outcomes
    }
}

fn store_one(
    state: &mut StateGuard<'_>,
    caller: &Caller,
    bucket: &BucketName,
    item: &mut StoreItem,
) -> Result<Stored, WriteRefused> {
    let StoreItem { reservation, key, len, checksum } = item;
    let now = now();
    if reservation.write.caller.owner != caller.owner {
        return Err(WriteRefused::Unknown);
    }
    if now >= reservation.deadline {
        return Err(WriteRefused::Expired);
    }
    reservation.write.seal_spare(state, (bucket, key), (*len, *checksum), now)
}

/// Whether a reservation that is refused for this reason can be used for another object.
const fn keeps(refused: WriteRefused) -> bool {
    matches!(
        refused,
        WriteRefused::Exists
            | WriteRefused::Pending
            | WriteRefused::MemoryShort { .. }
            | WriteRefused::OverBytes { .. }
            | WriteRefused::OverObjects { .. }
    )
}
