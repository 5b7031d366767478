//! Answers of a catalog's calls. Refusals are [`Miss`](kvlease_types::Miss),
//! [`WriteRefused`](kvlease_types::WriteRefused) and
//! [`RemoveRefused`](kvlease_types::RemoveRefused).

use std::time::Duration;

use kvlease_types::{BucketName, BucketPolicy, ByteSize, Checksum, Key, LeaseId, Timestamp};

use crate::extents::Extents;

/// Name of one pending object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WriteId {
    pub(crate) slot: u32,
    pub(crate) generation: u64,
}

impl WriteId {
    /// Generation that the object has, and no other one of the incarnation.
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

/// Space to write an object into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// Names the write for [`extend`](crate::Catalog::extend), [`seal`](crate::Catalog::seal) and
    /// [`abort`](crate::Catalog::abort).
    pub id: WriteId,
    /// Where the bytes go, in their order. The lengths are exact: their sum is what was asked for.
    pub extents: Extents,
}

/// Space that was asked for, or the request to drain the change log first.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Room<T> {
    /// The space is given.
    Given(T),
    /// There will be space once the changes up to now were acknowledged: drain and ask again.
    /// What has to leave has left.
    AfterDrain,
}

impl<T> Room<T> {
    /// The space, if it is given.
    pub fn given(self) -> Option<T> {
        match self {
            Self::Given(space) => Some(space),
            Self::AfterDrain => None,
        }
    }

    /// Maps the space.
    pub(crate) fn map<U>(self, map: impl FnOnce(T) -> U) -> Room<U> {
        match self {
            Self::Given(space) => Room::Given(map(space)),
            Self::AfterDrain => Room::AfterDrain,
        }
    }
}

/// Right to read an object until a deadline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Names the lease.
    pub id: LeaseId,
    /// Slot that the object has for as long as it lives, see [`Change`](crate::Change).
    pub slot: u32,
    /// Where the object is, in the order of its bytes, with exact lengths.
    pub extents: Extents,
    /// Size of the object.
    pub len: ByteSize,
    /// Checksum of its bytes.
    pub checksum: Checksum,
    /// Changes whenever an extent gets a new tenant.
    pub generation: u64,
    /// When the lease ends by itself.
    pub deadline: Timestamp,
    /// Whether the bytes are known to match the checksum. If not, the bytes have to be verified
    /// before the lease is granted to a client, see
    /// [`Catalog::record_verification`](crate::Catalog::record_verification).
    pub verified: bool,
}

/// A sealed object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectInfo {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its name in the bucket.
    pub key: Key,
    /// Its size.
    pub len: ByteSize,
    /// Checksum of its bytes.
    pub checksum: Checksum,
    /// Changes whenever an extent gets a new tenant.
    pub generation: u64,
    /// Where it is, in the order of its bytes, with exact lengths.
    pub extents: Extents,
    /// Leases on it that neither were released nor have been seen to expire.
    pub leases: u32,
    /// When it was sealed.
    pub created: Timestamp,
    /// Whether the policy of its bucket keeps eviction from it.
    pub pinned: bool,
}

/// Object whose bytes are to be verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScrubCandidate {
    /// Slot that it has for as long as it lives.
    pub slot: u32,
    /// Generation, which tells it from later objects in the slot.
    pub generation: u64,
    /// Where it is, in the order of its bytes, with exact lengths.
    pub extents: Extents,
    /// Its size.
    pub len: ByteSize,
    /// Checksum that its bytes have to match.
    pub checksum: Checksum,
    /// Whether they were found to match it in this incarnation.
    pub verified: bool,
}

/// Object that was chosen for eviction. It serves until it is
/// [given up](crate::Catalog::give_up).
///
/// Its bytes can be copied elsewhere without a lease: they were the object's if giving it up
/// afterwards succeeds. [`Catalog::victim`](crate::Catalog::victim) describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Victim {
    /// Slot that it has for as long as it lives.
    pub slot: u32,
    /// Generation, which tells it from later objects in the slot.
    pub generation: u64,
}

/// Counts of what was taken over from an earlier incarnation.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Restored {
    /// Objects that were taken over.
    pub objects: u64,
    /// Sum of their exact sizes.
    pub bytes: u64,
    /// Objects that cannot have been there: outside of what is populated, on top of a newer one, or
    /// not an object at all.
    pub impossible: u64,
    /// Objects that the catalog's memory has no room for; the oldest.
    pub beyond_memory: u64,
}

/// Contents of a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketInfo {
    /// Its name.
    pub bucket: BucketName,
    /// Sealed objects.
    pub objects: u64,
    /// Sum of their exact sizes.
    pub stored: ByteSize,
}

/// A bucket with a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyInfo {
    /// Its name.
    pub bucket: BucketName,
    /// Its policy.
    pub policy: BucketPolicy,
    /// Its objects, and those that left.
    pub class: ClassInfo,
}

/// A class of objects: those of a bucket with a policy, or of all buckets without one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClassInfo {
    /// Sealed objects.
    pub objects: u64,
    /// Space of those of them that eviction has not chosen, in whole units.
    pub taken: ByteSize,
    /// Objects that are pinned.
    pub pinned_objects: u64,
    /// Space of them, in whole units.
    pub pinned: ByteSize,
    /// Objects evicted since there is the policy.
    pub evicted: u64,
    /// Exact sizes of them.
    pub evicted_bytes: u64,
    /// Objects removed since then because their time to live was over.
    pub expired: u64,
    /// Objects stored since then that have a pinned prefix and were beyond what may be pinned.
    pub unpinned: u64,
}

/// Live leases by the time since their grant.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LeaseAges {
    /// Leases of each span: the first is up to the first of [`LeaseAges::BOUNDS`], the last beyond the last.
    pub counts: [u64; LeaseAges::BOUNDS.len() + 1],
}

impl LeaseAges {
    /// Ends of the spans.
    pub const BOUNDS: [Duration; 5] = [
        Duration::from_secs(1),
        Duration::from_secs(10),
        Duration::from_secs(30),
        Duration::from_secs(60),
        Duration::from_secs(300),
    ];

    /// Counts a lease of this age.
    pub(crate) fn count(&mut self, age: Duration) {
        self.counts[Self::BOUNDS.partition_point(|bound| *bound < age)] += 1;
    }

    /// Adds the leases of another part.
    pub fn add(&mut self, part: &Self) {
        self.counts.iter_mut().zip(part.counts).for_each(|(sum, count)| *sum += count);
    }
}

/// A lease that ended by its deadline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpiredLease {
    /// The lease.
    pub id: LeaseId,
    /// Bucket of the object.
    pub bucket: BucketName,
    /// Name of the object in the bucket.
    pub key: Key,
    /// Size of the object.
    pub len: ByteSize,
}

/// Where a listing goes on. The default is the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ListCursor(u32);

impl ListCursor {
    /// The cursor that [`number`](Self::number) was taken from. Any number is a valid cursor.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The cursor as a number, to be sent to the one who lists.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// A look at the whole catalog. Gauges are of the moment, `totals` count since the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CatalogStats {
    /// Size of the arena, in whole units.
    pub capacity: ByteSize,
    /// How much of it is populated: the sum of `free`, `allocated`, `being_written` and
    /// `quarantined`.
    pub populated: ByteSize,
    /// Free space.
    pub free: ByteSize,
    /// The largest free extent, exact to 1/32.
    pub largest_free_extent: ByteSize,
    /// Exact sizes of the sealed objects.
    pub stored: ByteSize,
    /// Space of the sealed objects, in whole units.
    pub allocated: ByteSize,
    /// Space of the pending objects, in whole units.
    pub being_written: ByteSize,
    /// Space that waits to be free: that of objects that left and may still be read, or whose
    /// departure was not acknowledged yet, and extents that an earlier incarnation may have leased.
    pub quarantined: ByteSize,
    /// Space that eviction could make free now, in whole units; part of `allocated`.
    pub evictable: ByteSize,
    /// Sealed objects.
    pub objects: u64,
    /// Those of them that were restored and not verified since.
    pub unverified: u64,
    /// Pending objects.
    pub writes_in_flight: u64,
    /// Leases that neither were released nor have been seen to expire.
    pub leases_live: u64,
    /// Most leases that may live at once.
    pub leases_max: u64,
    /// Exact sizes of the objects with at least one such lease, each counted once.
    pub leased: ByteSize,
    /// How long the oldest of these leases has lived.
    pub oldest_lease_age: Duration,
    /// The catalog's own memory, estimated.
    pub memory: ByteSize,
    /// Its limit.
    pub memory_max: ByteSize,
    /// Counts since the start.
    pub totals: CatalogTotals,
}

impl CatalogStats {
    /// Whether no space is read or written, or may be: no lease is live or in grace, no object is
    /// pending, and nothing is in quarantine.
    pub fn is_idle(&self) -> bool {
        let unused = [self.leases_live, self.writes_in_flight, self.quarantined.bytes()];
        unused == [0; 3] && self.evictable == self.allocated
    }
}

/// Counts since the catalog was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CatalogTotals {
    /// Objects sealed.
    pub sealed: u64,
    /// Writes aborted.
    pub aborted: u64,
    /// Objects removed by request, or since they were corrupt.
    pub removed: u64,
    /// Objects removed since their time to live was over.
    pub expired: u64,
    /// Objects evicted.
    pub evicted: u64,
    /// Exact sizes of the evicted objects.
    pub evicted_bytes: u64,
    /// Leases granted.
    pub granted: u64,
    /// Leases released in time.
    pub released: u64,
    /// Leases renewed.
    pub renewed: u64,
    /// Leases that ended by their deadline.
    pub expired_unreleased: u64,
}
