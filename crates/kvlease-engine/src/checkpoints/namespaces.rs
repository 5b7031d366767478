//! Namespaces: made, described and removed.

use kvlease_types::{BucketName, ByteSize, Caller};

use super::{
    handle::Checkpoints,
    name::{NamespaceShape, Record},
    refused::CheckpointRefused,
};
use crate::put::Put;

impl Checkpoints {
    /// The shape of a namespace, if it is there.
    pub fn shape(&self, bucket: &BucketName) -> Option<NamespaceShape> {
        self.table().namespace(bucket).map(|namespace| namespace.shape)
    }

    /// Makes a namespace. One of this shape may be there already.
    pub fn create(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        shape: NamespaceShape,
    ) -> Result<(), CheckpointRefused> {
        let mut table = self.table();
        match table.namespace(bucket).map(|namespace| namespace.shape) {
            Some(found) if found == shape => return Ok(()),
            Some(found) => return Err(CheckpointRefused::OtherShape(found)),
            None => {}
        }
        if table.room_for_namespace().is_none() {
            return Err(self.no_room(&table));
        }
        let key = Record::Namespace(shape).key();
        let len = Some(ByteSize::ZERO);
        Put::begin(&self.shared, caller, bucket.clone(), key.clone(), len)?.seal()?;
        table.add_namespace(bucket, shape, key);
        drop(table);
        self.replicate_namespace(bucket, shape);
        Ok(())
    }

    /// Removes a namespace with all of its shards. A read that has begun goes on to its end.
    pub async fn remove_namespace(
        &self,
        caller: &Caller,
        bucket: &BucketName,
    ) -> Result<(), CheckpointRefused> {
        // Those that other nodes stored leave as well.
        self.refresh(caller, bucket).await;
        let shape = self.shape(bucket);
        if shape.is_some() {
            self.remove_shared_namespace(bucket).await?;
        }
        let files = {
            let mut table = self.table();
            let gone = table.remove_namespace(bucket).ok_or(CheckpointRefused::NoNamespace)?;
            self.remove_objects(caller, bucket, gone)
        };
        if let (Some(replicas), Some(shape)) = (&self.replicas, shape) {
            replicas.forget_namespace(bucket, shape);
        }
        self.remove_files(files).await;
        Ok(())
    }

    /// Removes all namespaces.
    pub async fn reset(&self, caller: &Caller) {
        let buckets = self.table().buckets();
        for bucket in buckets {
            // Another client may have removed it meanwhile.
            let _ = self.remove_namespace(caller, &bucket).await;
        }
    }
}
