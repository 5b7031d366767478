//! The buckets of the page, largest first: one page of them, and all smaller ones in sum.

use kvlease_api::{STATUS_BUCKETS_MAX, StatusPageQuery};
use kvlease_engine::LargestBuckets;

use super::figure::Figure;
use crate::context::Context;

/// Buckets of one page.
const PER_PAGE: usize = 25;

/// One page of the buckets.
pub(super) struct BucketPage {
    pub(super) rows: Vec<BucketRow>,
    /// How many there are in all.
    pub(super) total: Figure,
    /// How many smaller ones follow, with their objects and their bytes.
    pub(super) others: Option<[Figure; 3]>,
    /// Where the page before and the page behind begin.
    pub(super) before: Option<usize>,
    pub(super) behind: Option<usize>,
}

/// One bucket.
pub(super) struct BucketRow {
    pub(super) rank: usize,
    pub(super) name: String,
    pub(super) objects: Figure,
    pub(super) stored: Figure,
    pub(super) share: Figure,
}

impl BucketPage {
    pub(super) fn of(context: &Context, query: StatusPageQuery, capacity: u64) -> Self {
        let from = query.buckets_from;
        let LargestBuckets { largest, others, other_objects, other_stored } =
            context.engine.largest_buckets(from + PER_PAGE);
        let total = Figure::count(largest.len() as u64 + others);
        let rows = (1..).zip(largest).skip(from).map(|(rank, info)| BucketRow {
            rank,
            name: info.bucket.as_str().to_owned(),
            objects: Figure::count(info.objects),
            stored: Figure::bytes(info.stored.bytes()),
            share: Figure::share(info.stored.bytes(), capacity),
        });
        let behind = from + PER_PAGE;
        Self {
            rows: rows.collect(),
            total,
            others: (others > 0).then(|| {
                let [count, objects] = [others, other_objects].map(Figure::count);
                [count, objects, Figure::bytes(other_stored)]
            }),
            before: (from > 0).then(|| from.saturating_sub(PER_PAGE)),
            behind: Some(behind).filter(|behind| others > 0 && *behind <= STATUS_BUCKETS_MAX),
        }
    }
}
