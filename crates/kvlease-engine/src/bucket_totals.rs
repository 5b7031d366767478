//! Totals of buckets, by name.

use std::collections::BTreeMap;

use kvlease_cache::BucketInfo;

use crate::shared::Shared;

impl Shared {
    /// See [`Engine::buckets`](crate::Engine::buckets). The catalog is unlocked between parts, and while
    /// names are compared, which takes longest: many buckets hold no request up. Takes memory for
    /// `limit` of them and for a part.
    pub(crate) fn buckets(&self, after: &str, limit: usize) -> Vec<BucketInfo> {
        let (mut first, mut from) = (BTreeMap::new(), Some(0));
        while let Some(place) = from {
            let part;
            (part, from) = self.state().catalog.buckets(place);
            for info in part.into_iter().filter(|info| info.bucket.as_str() > after) {
                // One that went and came again meanwhile is there once.
                first.insert(info.bucket.clone(), info);
                if first.len() > limit {
                    first.pop_last();
                }
            }
        }
        first.into_values().collect()
    }
}
