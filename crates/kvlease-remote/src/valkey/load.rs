//! Objects on their way to the arena.

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, stream};
use kvlease_tier::{Destination, Loaded, Name, Stat, TierError};

use super::{
    answer::QueryError,
    call::Purpose,
    format::{PIECE_LEN, PIECES_AT_ONCE, is_of, piece_len},
    values::{Valkey, WRONG_TYPE},
};
use crate::{
    budget::Share,
    delivery::Delivery,
    head::{Head, head_len},
};

/// Outcome of reading an object that is to be there.
enum Read {
    Complete,
    /// No such object is there.
    Absent,
    /// Parts of the object are missing.
    Incomplete,
}

impl Valkey {
    /// Loads an object. One that turns out to be incomplete or corrupt is removed.
    pub(super) async fn load_object(
        &self,
        name: &Name,
        stat: Stat,
        destination: Box<dyn Destination>,
    ) -> Result<Loaded, TierError> {
        self.check_open()?;
        let delivery = Delivery::new(destination, stat);
        let read = match piece_len(stat) {
            0 => self.read_value(name, stat, delivery).await,
            _ => self.read_pieces(name, stat, delivery).await,
        };
        if matches!(read, Ok(Read::Incomplete) | Err(TierError::Corrupt { .. })) {
            // If that fails, the next load finds the same.
            let keys = [name.key.as_str()];
            drop(self.remove_all(name.bucket.as_str(), &keys).await);
        }
        Ok(match read? {
            Read::Complete => Loaded::Complete,
            Read::Absent | Read::Incomplete => Loaded::Absent,
        })
    }

    async fn read_value(
        &self,
        name: &Name,
        stat: Stat,
        mut delivery: Delivery,
    ) -> Result<Read, TierError> {
        let (bucket, key) = (name.bucket.as_str(), name.key.as_str());
        // One byte more than there may be, so that a longer value is noticed.
        let len = head_len(bucket, key) as u64 + stat.len.bytes() + 1;
        let _share = self.budget.take(len).await;
        let stored = self.layout.object(bucket, key);
        let mut value = match self.start_of(Purpose::Transfer, &stored, len).await {
            Ok(Some(value)) => value,
            Ok(None) => return Ok(Read::Absent),
            Err(QueryError::WrongType) => return Err(foreign(WRONG_TYPE)),
            Err(error) => return Err(error.into()),
        };
        let head = Head::decode_as(&value[0], bucket, key).map_err(|reason| foreign(&reason))?;
        if !is_of(&head, stat) {
            return Ok(Read::Absent);
        }
        value[0].advance(head.len());
        delivery.append_parts(value).await;
        delivery.finish().map(|_| Read::Complete)
    }

    async fn read_pieces(
        &self,
        name: &Name,
        stat: Stat,
        mut delivery: Delivery,
    ) -> Result<Read, TierError> {
        let Some(head) = self.head(name.bucket.as_str(), name.key.as_str()).await? else {
            return Ok(Read::Absent);
        };
        let head = head.map_err(|reason| foreign(&reason))?;
        if !is_of(&head, stat) {
            return Ok(Read::Absent);
        }
        let pieces = stream::iter(0..head.pieces()).map(|piece| self.read_piece(&head, piece));
        let mut pieces = std::pin::pin!(pieces.buffered(PIECES_AT_ONCE));
        while let Some(piece) = pieces.next().await {
            let (Some(parts), _share) = piece? else { return Ok(Read::Incomplete) };
            delivery.append_parts(parts).await;
        }
        delivery.finish().map(|_| Read::Complete)
    }

    async fn read_piece(
        &self,
        head: &Head,
        piece: u64,
    ) -> Result<(Option<Vec<Bytes>>, Share), TierError> {
        let share = self.budget.take(PIECE_LEN).await;
        let stored = self.piece_name(head, piece);
        match self.start_of(Purpose::Transfer, &stored, PIECE_LEN + 1).await {
            Ok(parts) => Ok((parts, share)),
            Err(QueryError::WrongType) => Ok((None, share)),
            Err(error) => Err(error.into()),
        }
    }

    /// Name of a piece of an object.
    pub(super) fn piece_name(&self, head: &Head, piece: u64) -> String {
        let (bucket, key) = (head.name.bucket.as_str(), head.name.key.as_str());
        self.layout.piece(bucket, key, head.stat.checksum, piece)
    }
}

fn foreign(reason: &str) -> TierError {
    TierError::Foreign { reason: reason.to_owned() }
}
