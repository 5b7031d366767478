//! Checkpoints of an earlier incarnation, by the names of the objects and files that are there.

use std::{io, sync::Arc};

use kvlease_types::{BucketName, ByteSize, Caller};

use super::{
    disk::{Disk, Found},
    handle::Checkpoints,
    name::{NamespaceShape, Record},
    quota::Quota,
    table::{Gone, Shard, Table},
};
use crate::{put::Put, recovery::RestoredName, shared::Shared};

impl Checkpoints {
    /// The checkpoints that these objects make, with the files on the disk. Objects and files that belong
    /// to none, since the daemon was killed while it removed or replaced them, are removed.
    pub(crate) fn load(shared: &Arc<Shared>, restored: Vec<RestoredName>) -> io::Result<Arc<Self>> {
        let disk = shared.config.checkpoint_disk.as_ref();
        let capacity = disk.map_or(ByteSize::ZERO, |disk| disk.capacity);
        let memory = shared.config.checkpoint_max.min(shared.arena.capacity());
        let (disk, found) = match disk.map(Disk::open).transpose()? {
            Some((disk, found)) => (Some(disk), found),
            None => (None, Vec::new()),
        };
        let mut loaded =
            Loaded { table: Table::new(Quota::new(memory, capacity)), rest: Vec::new() };
        let on_disk = found.len();
        loaded.add_objects(restored);
        for Found { file, header } in found {
            if loaded.table.namespace(&header.bucket).is_none() {
                loaded.add_lost_namespace(shared, &header.bucket, header.shape);
            }
            let shape = loaded.table.namespace(&header.bucket).map(|namespace| namespace.shape);
            let is_its = shape == Some(header.shape);
            let place = header.name.place;
            let shard = Shard::new(header.name, file.len, Some(file));
            let gone = match is_its {
                true => loaded.table.restore(&header.bucket, place, shard),
                false => Some(shard.into_gone()),
            };
            loaded.rest.extend(gone.map(|gone| (header.bucket, gone)));
        }
        let Loaded { table, rest } = loaded;
        let checkpoints = Self::new(shared, disk, table);
        checkpoints.remove_rest(rest);
        if on_disk > 0 {
            tracing::info!(files = on_disk, "took over shards of checkpoints on the disk");
        }
        Ok(Arc::new(checkpoints))
    }

    fn remove_rest(&self, rest: Vec<(BucketName, Gone)>) {
        if !rest.is_empty() {
            tracing::info!(
                objects = rest.len(),
                "removed what was left of checkpoints that had gone"
            );
        }
        let remove = |(bucket, gone)| self.remove_objects(&Caller::DAEMON, &bucket, [gone]);
        let files: Vec<_> = rest.into_iter().flat_map(remove).collect();
        if let Some(disk) = self.disk.as_ref().filter(|_| !files.is_empty()) {
            disk.remove(&files);
        }
    }
}

/// Checkpoints that were found, and what belongs to none of them.
struct Loaded {
    table: Table,
    rest: Vec<(BucketName, Gone)>,
}

impl Loaded {
    fn add_objects(&mut self, restored: Vec<RestoredName>) {
        let mut shards = Vec::new();
        for RestoredName { bucket, key, len } in restored {
            match Record::parse(key.as_str()) {
                Some(Record::Namespace(shape)) if self.table.namespace(&bucket).is_none() => {
                    self.table.add_namespace(&bucket, shape, key);
                }
                Some(Record::Shard(name)) => shards.push((bucket, name, len)),
                _ => self.rest.push((bucket, Gone { key, file: None })),
            }
        }
        for (bucket, name, len) in shards {
            let (place, shard) = (name.place, Shard::new(name, len, None));
            let gone = match self.table.namespace(&bucket) {
                Some(_) => self.table.restore(&bucket, place, shard),
                None => Some(shard.into_gone()),
            };
            self.rest.extend(gone.map(|gone| (bucket, gone)));
        }
    }

    /// Makes the namespace of a file anew. Its record was lost with the arena, as in a reboot.
    fn add_lost_namespace(
        &mut self,
        shared: &Arc<Shared>,
        bucket: &BucketName,
        shape: NamespaceShape,
    ) {
        let key = Record::Namespace(shape).key();
        let (name, len) = ((bucket.clone(), key.clone()), Some(ByteSize::ZERO));
        let put = Put::begin(shared, &Caller::DAEMON, name.0, name.1, len);
        if let Err(error) = put.and_then(Put::seal) {
            tracing::warn!(
                namespace = %bucket,
                "the record of a namespace cannot be stored: its shards in memory may be lost with \
                 the next restart: {error}"
            );
        }
        self.table.add_namespace(bucket, shape, key);
    }
}
