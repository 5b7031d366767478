//! Checkpoints of an earlier incarnation, by the names of the objects that were restored.

use std::sync::Arc;

use kvlease_types::Caller;

use super::{
    handle::Checkpoints,
    name::Record,
    table::{Shard, Table},
};
use crate::{recovery::RestoredName, shared::Shared};

impl Checkpoints {
    /// The checkpoints that these objects make. Objects that belong to none, since the daemon was killed
    /// while it removed or replaced them, are removed.
    pub(crate) fn load(shared: &Arc<Shared>, restored: Vec<RestoredName>) -> Arc<Self> {
        let (mut table, mut shards, mut rest) = (Table::default(), Vec::new(), Vec::new());
        for RestoredName { bucket, key, len } in restored {
            match Record::parse(key.as_str()) {
                Some(Record::Namespace(shape)) if table.namespace(&bucket).is_none() => {
                    table.add_namespace(&bucket, shape, key);
                }
                Some(Record::Shard(name)) => shards.push((bucket, name, len)),
                _ => rest.push((bucket, key)),
            }
        }
        for (bucket, name, len) in shards {
            let (place, key) = (name.place, Record::Shard(name.clone()).key());
            let gone = match table.namespace(&bucket) {
                Some(_) => table.restore(&bucket, place, Shard::new(name, len)),
                None => Some(key),
            };
            rest.extend(gone.map(|key| (bucket, key)));
        }
        let checkpoints = Self::new(shared, table);
        for (bucket, key) in &rest {
            checkpoints.remove_objects(&Caller::DAEMON, bucket, std::slice::from_ref(key));
        }
        if !rest.is_empty() {
            tracing::info!(
                objects = rest.len(),
                "removed what was left of checkpoints that had gone"
            );
        }
        Arc::new(checkpoints)
    }
}
