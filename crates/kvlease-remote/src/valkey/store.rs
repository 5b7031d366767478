//! Objects on their way into the store.

use futures_util::future::try_join_all;
use kvlease_tier::{Object, Source, Stored, TierError};
use kvlease_types::ByteSize;
use redis::{Cmd, Value};

use super::{
    answer::QueryError,
    format::{LEN_MAX, PIECE_LEN, PIECE_TTL, PIECES_AT_ONCE, is_of, piece_len},
    node::Purpose,
    values::Valkey,
};
use crate::{delivery::Intake, head::Head, parts::Parts};

impl Valkey {
    /// Stores an object that is not there yet.
    pub(super) async fn store_object(
        &self,
        object: &Object,
        source: Box<dyn Source>,
    ) -> Result<Stored, TierError> {
        self.check_open()?;
        if object.stat.len > LEN_MAX {
            return Err(TierError::TooLarge { len_max: LEN_MAX });
        }
        let head = Head {
            name: object.name.clone(),
            stat: object.stat,
            piece_len: piece_len(object.stat),
        };
        if self.has(&head).await? {
            return Ok(Stored::Present);
        }
        let mut intake = Intake::new(source);
        if head.piece_len == 0 {
            self.write_value(&head, &mut intake).await?;
        } else {
            self.write_pieces(&head, &mut intake).await?;
        }
        Ok(Stored::Written(ByteSize::new(head.len() as u64 + object.stat.len.bytes())))
    }

    /// Says whether the object is there, with all of its pieces.
    async fn has(&self, wanted: &Head) -> Result<bool, TierError> {
        let (bucket, key) = (wanted.name.bucket.as_str(), wanted.name.key.as_str());
        match self.head(bucket, key).await? {
            Some(Ok(head)) if is_of(&head, wanted.stat) => {
                let exist = (0..head.pieces()).map(|piece| self.on_piece("EXISTS", wanted, piece));
                let found = try_join_all(exist).await?;
                Ok(found.iter().all(|answer| *answer == Value::Int(1)))
            }
            _ => Ok(false),
        }
    }

    async fn write_value(&self, head: &Head, intake: &mut Intake) -> Result<(), TierError> {
        let (first, len) = (head.encode(), head.stat.len.bytes());
        let _share = self.budget.take(first.len() as u64 + len).await;
        let value = intake.take(&first, usize::try_from(len).unwrap_or(usize::MAX)).await?;
        intake.check(head.stat)?;
        self.set(&self.head_name(head), value, false).await?;
        Ok(())
    }

    async fn write_pieces(&self, head: &Head, intake: &mut Intake) -> Result<(), TierError> {
        self.send_pieces(head, intake).await?;
        intake.check(head.stat)?;
        self.set(&self.head_name(head), head.encode(), false).await?;
        let persist = (0..head.pieces()).map(|piece| self.on_piece("PERSIST", head, piece));
        try_join_all(persist).await?;
        Ok(())
    }

    async fn send_pieces(&self, head: &Head, intake: &mut Intake) -> Result<(), TierError> {
        let mut parts = Parts::new(PIECES_AT_ONCE);
        for number in 0..head.pieces() {
            let share = parts.and(self.budget.take(PIECE_LEN)).await?;
            let left = head.stat.len.bytes() - number * PIECE_LEN;
            let bytes = parts.and(intake.take(&[], left.min(PIECE_LEN) as usize)).await??;
            parts.add(async move {
                let _share = share;
                self.set(&self.piece_name(head, number), bytes, true).await?;
                Ok(())
            });
        }
        parts.finish().await
    }

    async fn set(&self, name: &str, value: Vec<u8>, expires: bool) -> Result<Value, QueryError> {
        let mut command = Cmd::new();
        command.arg("SET").arg(name).arg(value);
        if expires {
            command.arg("EX").arg(PIECE_TTL.as_secs());
        }
        self.servers.query(Purpose::Transfer, name, &command).await
    }

    async fn on_piece(&self, command: &str, head: &Head, piece: u64) -> Result<Value, QueryError> {
        let name = self.piece_name(head, piece);
        let mut words = Cmd::new();
        words.arg(command).arg(&name);
        self.servers.query(Purpose::LookUp, &name, &words).await
    }

    fn head_name(&self, head: &Head) -> String {
        self.layout.object(head.name.bucket.as_str(), head.name.key.as_str())
    }
}
