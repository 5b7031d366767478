//! Look-ups that count as no use: one object, a bucket's objects, the buckets.

use kvlease_types::{BucketName, ByteSize, Key};

use super::Catalog;
use crate::{
    config::LIST_SCAN_MAX,
    objects::{Object, State},
    outcome::{BucketInfo, ListCursor, ObjectInfo},
};

impl Catalog {
    /// A sealed object, without counting as a use of it.
    pub fn stat(&self, bucket: &str, key: &str) -> Option<ObjectInfo> {
        let object = &self.objects[self.objects.find(bucket, key)?];
        self.is_there(object).then(|| self.describe_object(object))
    }

    /// Name and length of the object in a slot, if it has one.
    pub fn name_of(&self, slot: u32) -> Option<(&BucketName, &Key, ByteSize)> {
        let object = self.objects.get(slot).filter(|object| object.state == State::Sealed)?;
        let bucket = &self.objects.bucket(object.bucket).name;
        Some((bucket, &object.key, ByteSize::new(object.len)))
    }

    /// Tells `each`, in order, which names are those of sealed objects, without counting as a use
    /// of them.
    pub fn contains_many(&self, bucket: &str, keys: &[&str], mut each: impl FnMut(bool)) {
        for found in self.objects.find_many(bucket, keys) {
            let slot = found.slot;
            each(slot.is_some_and(|slot| self.is_there(&self.objects[slot])));
        }
    }

    /// A page of the sealed objects of a bucket whose keys begin with `prefix`: at most `limit`
    /// (at least one) and in no particular order, and where to go on, or `None` at the end.
    ///
    /// A page may be empty without being the last: a call looks at [`LIST_SCAN_MAX`] slots at
    /// most. An object that is there from the first page to the last is listed exactly once.
    pub fn list(
        &self,
        bucket: &str,
        prefix: &str,
        cursor: ListCursor,
        limit: usize,
    ) -> (Vec<ObjectInfo>, Option<ListCursor>) {
        let Some(bucket) = self.objects.find_bucket(bucket) else { return (Vec::new(), None) };
        let wanted =
            |object: &Object| object.bucket == bucket && object.key.as_str().starts_with(prefix);
        self.page_of(cursor, limit, wanted)
    }

    /// As [`list`](Self::list), of all buckets that clients can name.
    pub fn list_all(
        &self,
        cursor: ListCursor,
        limit: usize,
    ) -> (Vec<ObjectInfo>, Option<ListCursor>) {
        let wanted = |object: &Object| !self.objects.bucket(object.bucket).name.is_retained();
        self.page_of(cursor, limit, wanted)
    }

    fn page_of(
        &self,
        cursor: ListCursor,
        limit: usize,
        wanted: impl Fn(&Object) -> bool,
    ) -> (Vec<ObjectInfo>, Option<ListCursor>) {
        let mut page = Vec::new();
        let span = self.objects.span();
        let from = cursor.number() as usize;
        let to = span.min(from.saturating_add(LIST_SCAN_MAX));
        for slot in from..to {
            let slot = u32::try_from(slot).expect("slots are numbered by 32 bits");
            let Some(object) = self.objects.get(slot) else { continue };
            if self.is_there(object) && wanted(object) {
                page.push(self.describe_object(object));
                if page.len() >= limit {
                    return (page, self.cursor_at(slot as usize + 1));
                }
            }
        }
        (page, self.cursor_at(to.max(from)))
    }

    /// A part of the buckets with sealed objects, in no particular order, and where to go on, or
    /// `None` at the end. A call looks at [`LIST_SCAN_MAX`] places at most. A bucket that is there from
    /// the first part to the last is in exactly one of them.
    pub fn buckets(&self, from: u32) -> (Vec<BucketInfo>, Option<u32>) {
        let to = from.saturating_add(LIST_SCAN_MAX as u32);
        let there = (from..to.min(self.objects.bucket_span())).filter_map(|id| {
            let bucket = self.objects.get_bucket(id).filter(|bucket| bucket.objects > 0)?;
            Some(BucketInfo {
                bucket: bucket.name.clone(),
                objects: bucket.objects,
                stored: ByteSize::new(bucket.stored),
            })
        });
        (there.collect(), (to < self.objects.bucket_span()).then_some(to))
    }

    /// Whether look-ups find the object, as far as the last look at the time tells.
    fn is_there(&self, object: &Object) -> bool {
        object.state == State::Sealed && !self.classes.is_expired(object, self.clock)
    }

    fn cursor_at(&self, slot: usize) -> Option<ListCursor> {
        let more = slot < self.objects.span();
        more.then(|| ListCursor::new(u32::try_from(slot).expect("slots are numbered by 32 bits")))
    }

    pub(super) fn describe_object(&self, object: &Object) -> ObjectInfo {
        ObjectInfo {
            bucket: self.objects.bucket(object.bucket).name.clone(),
            key: object.key.clone(),
            len: ByteSize::new(object.len),
            checksum: object.checksum,
            generation: object.generation,
            extents: object.extents.clone(),
            leases: object.leases,
            created: object.created,
            pinned: object.pinned,
        }
    }
}
