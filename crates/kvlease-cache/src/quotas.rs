//! Quotas of buckets and tenants: what each has, what it may have, and what others leave it.
//!
//! An object counts for its bucket, and for the tenant that the bucket counts for. What is reserved, sealed, or
//! removed and still read takes its units: they are free when the object departs. Two rules follow:
//!
//! * *Most.* A write that would exceed one evicts of the same bucket or tenant first, and is refused where that
//!   has nothing to evict.
//! * *Guaranteed.* Nothing leaves for others from who has no more than what it is guaranteed. Who has more gives
//!   room by what it has beyond that, for its weight.

use kvlease_types::{BucketName, ByteSize, Quota, QuotaOf, TenantId, WriteRefused};

use crate::{config::UNIT, objects::Object};

/// Part of a quota that is to be free for the next writes, where room is made ahead of need.
const AHEAD_PART: u64 = 16;

/// Question about the room that is to be free within a quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ahead {
    /// Whether less than half of it is left: then eviction begins.
    Begins,
    /// Whether less than all of it is left: until then eviction goes on.
    GoesOn,
    /// Whether less than all of it would be left if what was chosen stayed.
    WithChosen,
}

/// Objects and their units.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Amount {
    pub(crate) objects: u64,
    pub(crate) units: u64,
}

/// Account of a bucket or a tenant.
#[derive(Default, Debug)]
pub(crate) struct Account {
    pub(crate) quota: Quota,
    /// Objects that are reserved, sealed, or removed and still read.
    pub(crate) held: Amount,
    /// Those that can be evicted now.
    pub(crate) evictable: Amount,
    /// Those that are sealed, without the daemon's own.
    pub(crate) sealed: Amount,
    /// Those of them that were not chosen for eviction.
    pub(crate) taken: Amount,
    /// Live leases, of a bucket: those of a tenant are counted by who has them.
    pub(crate) leases: u64,
    pub(crate) refused: QuotaRefusals,
}

/// Refusals for want of a quota.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct QuotaRefusals {
    /// Writes beyond the space.
    pub bytes: u64,
    /// Writes beyond the number of objects.
    pub objects: u64,
    /// Leases.
    pub leases: u64,
}

impl Amount {
    pub(crate) fn of(object: &Object) -> Self {
        Self { objects: 1, units: u64::from(object.allocation.units) }
    }

    /// The same, and nothing for the daemon's own, which are no bucket's.
    pub(crate) fn of_client(object: &Object) -> Self {
        if object.retained { Self::default() } else { Self::of(object) }
    }

    pub(crate) const fn add(&mut self, other: Self) {
        self.objects += other.objects;
        self.units += other.units;
    }

    pub(crate) const fn subtract(&mut self, other: Self) {
        self.objects -= other.objects;
        self.units -= other.units;
    }
}

impl Account {
    pub(crate) fn new(quota: Quota) -> Self {
        Self { quota, ..Self::default() }
    }

    /// Units of which others take nothing.
    pub(crate) fn guaranteed(&self) -> u64 {
        self.quota.bytes_guaranteed.map_or(0, |size| size.bytes().div_ceil(UNIT.bytes()))
    }

    /// The limit that `more` would exceed once `gone` of what it has is gone.
    pub(crate) fn refusal(&self, of: QuotaOf, more: Amount, gone: Amount) -> Option<WriteRefused> {
        let Quota { bytes_max, objects_max, .. } = self.quota;
        let left = |held: u64, gone: u64, more: u64| held.saturating_sub(gone).saturating_add(more);
        let units = left(self.held.units, gone.units, more.units);
        if self.units_max().is_some_and(|max| units > max)
            && let Some(bytes_max) = bytes_max
        {
            return Some(WriteRefused::OverBytes { of, bytes_max });
        }
        let objects = left(self.held.objects, gone.objects, more.objects);
        let objects_max = objects_max.filter(|max| objects > *max)?;
        Some(WriteRefused::OverObjects { of, objects_max })
    }

    /// Answers the question about the room that is to be free for the next writes: that for an average object, and a
    /// sixteenth of the quota within `units_max`, but no more than half of it.
    pub(crate) fn is_short(&self, units_max: u64, ahead: Ahead) -> bool {
        let is_short = |max: Option<u64>, (held, chosen): (u64, u64), most: u64, least: u64| {
            let Some(max) = max else { return false };
            let target = (max / AHEAD_PART).min(most).max(least).min(max / 2);
            let gone = if ahead == Ahead::WithChosen { 0 } else { chosen };
            let room = max.saturating_sub(held.saturating_sub(gone));
            if ahead == Ahead::Begins { room * 2 < target } else { room < target }
        };
        let Self { held, sealed, taken, .. } = self;
        let average = held.units.div_ceil(held.objects.max(1));
        let units = (held.units, sealed.units.saturating_sub(taken.units));
        let objects = (held.objects, sealed.objects.saturating_sub(taken.objects));
        is_short(self.units_max(), units, units_max, average)
            || is_short(self.quota.objects_max, objects, u64::MAX, 1)
    }

    fn units_max(&self) -> Option<u64> {
        self.quota.bytes_max.map(|max| max.bytes() / UNIT.bytes())
    }

    /// Whether its bucket may have no further lease.
    pub(crate) fn has_all_leases(&self) -> bool {
        self.quota.leases_max.is_some_and(|max| self.leases >= max)
    }
}

/// Use of a bucket or a tenant with a quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaUse {
    /// Its quota.
    pub quota: Quota,
    /// Space of its objects, in whole units, also of those that are being written, and of removed ones that
    /// are still read.
    pub bytes: ByteSize,
    /// These objects.
    pub objects: u64,
    /// Live leases.
    pub leases: u64,
    /// Refusals since the start.
    pub refused: QuotaRefusals,
}

/// Buckets and tenants with quotas, and what they have.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct QuotaUses {
    /// Buckets, by name.
    pub buckets: Vec<(BucketName, QuotaUse)>,
    /// Tenants, by place: those that have a quota.
    pub tenants: Vec<(TenantId, QuotaUse)>,
}

impl Account {
    pub(crate) fn usage(&self) -> QuotaUse {
        QuotaUse {
            quota: self.quota,
            bytes: ByteSize::new(self.held.units * UNIT.bytes()),
            objects: self.held.objects,
            leases: self.leases,
            refused: self.refused,
        }
    }
}
