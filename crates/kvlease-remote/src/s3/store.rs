//! Objects on their way into the store.

use std::sync::{Mutex, PoisonError};

use kvlease_tier::{Object, Source, SourceChanged, Stored, TierError};
use kvlease_types::ByteSize;
use object_store::{Extensions, ObjectStore, ObjectStoreExt, PutOptions, PutPayload, path::Path};

use super::{
    bucket::{S3, is_whole},
    format::{LEN_MAX, PART_LEN, PARTS_AT_ONCE},
    streamed::{IN_FLIGHT, Sending, stand_in},
    upload::Upload,
};
use crate::{delivery::Intake, head::Head, parts::Parts};

impl S3 {
    /// Stores an object that is not there yet.
    pub(super) async fn store_object(
        &self,
        object: &Object,
        source: Box<dyn Source>,
    ) -> Result<Stored, TierError> {
        self.check_open()?;
        let head = head_of(object);
        match self.head(head.name.bucket.as_str(), head.name.key.as_str()).await? {
            Some((Ok(found), len)) if found == head && is_whole(&found, len) => Ok(Stored::Present),
            _ => self.write_object(object, source).await,
        }
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
        let path = self.path(head.name.bucket.as_str(), head.name.key.as_str())?;
        let len = head.len() as u64 + head.stat.len.bytes();
        let mut intake = Intake::new(source, &self.chunks);
        if len > self.put_len_max {
            self.upload(path, &head, &mut intake).await?;
        } else if self.is_streaming {
            self.put_streamed(&path, &head, intake).await?;
        } else {
            self.put(&path, &head, &mut intake).await?;
        }
        Ok(Stored::Written(ByteSize::new(len)))
    }

    async fn put_streamed(
        &self,
        path: &Path,
        head: &Head,
        intake: Intake,
    ) -> Result<(), TierError> {
        let len = head.len() as u64 + head.stat.len.bytes();
        let _share = self.budget.take(len.min(IN_FLIGHT)).await;
        if head.stat.len.bytes() == 0 {
            intake.check(head.stat)?;
        }
        let value = Sending::new(head, intake);
        let mut extensions = Extensions::new();
        extensions.insert(value.shared());
        let options = PutOptions { extensions, ..PutOptions::default() };
        match self.call("PUT", self.store.put_opts(path, stand_in(len), options)).await {
            Ok(_) => Ok(()),
            Err(_) if value.is_changed() => Err(SourceChanged.into()),
            Err(error) => Err(error),
        }
    }

    async fn put(&self, path: &Path, head: &Head, intake: &mut Intake) -> Result<(), TierError> {
        let len = head.stat.len.bytes();
        let _share = self.budget.take(head.len() as u64 + len).await;
        let value = intake.take(head.encode(), usize::try_from(len).unwrap_or(usize::MAX)).await?;
        intake.check(head.stat)?;
        self.call("PUT", self.store.put(path, PutPayload::from_iter(value))).await?;
        Ok(())
    }

    async fn upload(&self, path: Path, head: &Head, intake: &mut Intake) -> Result<(), TierError> {
        let len = head.len() as u64 + head.stat.len.bytes();
        let upload = Upload::begin(self, path).await?;
        let sent = Mutex::new(Vec::new());
        let mut parts = Parts::new(PARTS_AT_ONCE);
        for (number, from) in (0..len).step_by(PART_LEN as usize).enumerate() {
            let share = parts.and(self.budget.take(PART_LEN)).await?;
            let first = if number == 0 { head.encode() } else { Vec::new() };
            let wanted = (len - from).min(PART_LEN) as usize - first.len();
            let bytes = parts.and(intake.take(first, wanted)).await??;
            let (upload, sent) = (&upload, &sent);
            parts.add(async move {
                let _share = share;
                let part = upload.send(number, bytes).await?;
                sent.lock().unwrap_or_else(PoisonError::into_inner).push((number, part));
                Ok(())
            });
        }
        parts.finish().await?;
        intake.check(head.stat)?;
        let mut sent = sent.into_inner().unwrap_or_else(PoisonError::into_inner);
        sent.sort_unstable_by_key(|(number, _)| *number);
        upload.complete(sent.into_iter().map(|(_, part)| part).collect()).await
    }
}

fn head_of(object: &Object) -> Head {
    Head { name: object.name.clone(), stat: object.stat, piece_len: 0 }
}
