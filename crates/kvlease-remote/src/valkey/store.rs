//! Objects on their way into the store.

use bytes::Bytes;
use futures_util::future::try_join_all;
use kvlease_tier::{Object, Source, Stored, TierError};
use kvlease_types::ByteSize;
use redis::{Cmd, Value};

use super::{
    answer::QueryError,
    call::Purpose,
    format::{LEN_MAX, PIECE_LEN, PIECE_TTL, PIECES_AT_ONCE, is_of, piece_len},
    set::Set,
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
        if object.stat.len <= LEN_MAX && self.has(&head_of(object)).await? {
            return Ok(Stored::Present);
        }
        self.write_object(object, source).await
    }

    /// Stores an object without asking whether it is there.
    pub(super) async fn write_object(
        &self,
        object: &Object,
        source: Box<dyn Source>,
    ) -> Result<Stored, TierError> {
        self.check_open()?;
        if object.stat.len > LEN_MAX {
            return Err(TierError::TooLarge { len_max: LEN_MAX });
        }
        let head = head_of(object);
        let mut intake = Intake::new(source, &self.chunks);
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
        let value = intake.take(first, usize::try_from(len).unwrap_or(usize::MAX)).await?;
        intake.check(head.stat)?;
        self.servers.store(&Set::new(self.head_name(head), value, None)).await?;
        Ok(())
    }

    async fn write_pieces(&self, head: &Head, intake: &mut Intake) -> Result<(), TierError> {
        self.send_pieces(head, intake).await?;
        intake.check(head.stat)?;
        let value = vec![Bytes::from(head.encode())];
        self.servers.store(&Set::new(self.head_name(head), value, None)).await?;
        let persist = (0..head.pieces()).map(|piece| self.on_piece("PERSIST", head, piece));
        try_join_all(persist).await?;
        Ok(())
    }

    async fn send_pieces(&self, head: &Head, intake: &mut Intake) -> Result<(), TierError> {
        let mut parts = Parts::new(PIECES_AT_ONCE);
        for number in 0..head.pieces() {
            let share = parts.and(self.budget.take(PIECE_LEN)).await?;
            let len = (head.stat.len.bytes() - number * PIECE_LEN).min(PIECE_LEN) as usize;
            let value = parts.and(intake.take(Vec::new(), len)).await??;
            let set = Set::new(self.piece_name(head, number), value, Some(PIECE_TTL));
            parts.add(async move {
                let _share = share;
                self.servers.store(&set).await?;
                Ok(())
            });
        }
        parts.finish().await
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

fn head_of(object: &Object) -> Head {
    Head { name: object.name.clone(), stat: object.stat, piece_len: piece_len(object.stat) }
}
