//! Totals of buckets, by name and by size.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use kvlease_cache::BucketInfo;
use kvlease_types::{BucketName, ByteSize};

use crate::shared::Shared;

/// The largest buckets, and all others in sum.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LargestBuckets {
    /// By bytes, the largest first, and by name where these are equal.
    pub largest: Vec<BucketInfo>,
    /// How many others there are.
    pub others: u64,
    /// Sealed objects of the others.
    pub other_objects: u64,
    /// Sum of their exact sizes, in bytes.
    pub other_stored: u64,
}

impl Shared {
    /// See [`Engine::buckets`](crate::Engine::buckets). Takes memory for `limit` of them and for a part.
    pub(crate) fn buckets(&self, after: &str, limit: usize) -> Vec<BucketInfo> {
        let mut first = BTreeMap::new();
        self.for_each_bucket(|info| {
            if info.bucket.as_str() > after {
                // One that went and came again meanwhile is there once.
                first.insert(info.bucket.clone(), info);
                if first.len() > limit {
                    first.pop_last();
                }
            }
        });
        first.into_values().collect()
    }

    /// See [`Engine::largest_buckets`](crate::Engine::largest_buckets). Takes memory as [`Shared::buckets`]
    /// does.
    pub(crate) fn largest_buckets(&self, limit: usize) -> LargestBuckets {
        let mut found = LargestBuckets::default();
        let mut largest: BTreeSet<(Reverse<ByteSize>, BucketName, u64)> = BTreeSet::new();
        self.for_each_bucket(|BucketInfo { bucket, objects, stored }| {
            largest.insert((Reverse(stored), bucket, objects));
            if largest.len() > limit
                && let Some((Reverse(stored), _, objects)) = largest.pop_last()
            {
                found.others += 1;
                found.other_objects += objects;
                found.other_stored += stored.bytes();
            }
        });
        let info = |(Reverse(stored), bucket, objects)| BucketInfo { bucket, objects, stored };
        found.largest = largest.into_iter().map(info).collect();
        found
    }

    /// Calls with each bucket. The catalog is unlocked between parts, and while names are compared, which
    /// takes longest: many buckets hold no request up.
    fn for_each_bucket(&self, mut call: impl FnMut(BucketInfo)) {
        let mut from = Some(0);
        while let Some(place) = from {
            let part;
            (part, from) = self.state().catalog.buckets(place);
            part.into_iter().for_each(&mut call);
        }
    }
}
