//! Outcomes of requests, from the catalog to the metrics: one type for acquiring, one for writing,
//! one for removing.
//!
//! HTTP codes and statuses of the fast lane are tables over these types, in `kvlease-api`.

use crate::{ByteSize, QuotaOf};

/// Selection of keys in a batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Each key on its own.
    Each,
    /// The keys up to the first that cannot be had.
    Prefix,
}

/// Makes [`Miss`] with the lists that must name every reason.
macro_rules! misses {
    ($($(#[$doc:meta])* $variant:ident $word:literal $text:literal,)*) => {
        /// Reason why an object is not leased.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
        pub enum Miss {
            $($(#[$doc])* #[error($text)] $variant,)*
        }

        impl Miss {
            /// Every reason, in the order of their places.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The one public word for it: in metrics, logs and documents.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The reason for people, as it is displayed.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

misses! {
    /// No such object: never stored, removed, or evicted long ago.
    Absent "absent" "no such object",
    /// No such object; it was evicted lately, so a larger arena would have kept it.
    Evicted "evicted" "no such object",
    /// The object is not in the arena, and can be brought there.
    Elsewhere "elsewhere" "no such object",
    /// The object is pending: a write of it has begun and has not been sealed.
    Pending "still_writing" "the object is still being written: ask again",
    /// The bytes of the object did not match its checksum; it was removed.
    Corrupt "corrupt" "no such object",
    /// The caller, or the daemon, is at its limit of live leases.
    TooManyLeases "too_many_leases" "too many live leases: release some or raise lease.live_max",
    /// The caller's tenant, or the bucket, has as many live leases as its quota allows.
    LeaseQuota "lease_quota"
        "the quota of live leases is used up: release some or raise leases_max of the tenant or the bucket",
    /// The leases' share of the catalog's memory is full.
    MemoryShort "memory_short"
        "the catalog has no memory for more leases: release some or raise cache.catalog_memory_max",
    /// A tier has the object, and the arena had no room for it.
    NoRoom "no_room"
        "a tier has the object and the arena has no room for it: ask again when leases ended",
}

impl Miss {
    /// Place in [`Miss::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the object is there and a limit of leases is reached.
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::TooManyLeases | Self::LeaseQuota | Self::MemoryShort)
    }

    /// Whether the object may come within a request that waits: it is being written, a tier has to be
    /// asked, or a tier has it and the arena may have room soon.
    pub const fn is_awaited(self) -> bool {
        matches!(self, Self::Pending | Self::Elsewhere | Self::NoRoom)
    }

    /// Whether another try may find the object, since only its coming takes longer.
    pub const fn is_late(self) -> bool {
        matches!(self, Self::Pending | Self::NoRoom)
    }

    /// Whether the object is absent for the client: no limit of the daemon is the reason.
    pub const fn is_absence(self) -> bool {
        match self {
            Self::Absent | Self::Evicted | Self::Elsewhere | Self::Corrupt => true,
            Self::Pending
            | Self::NoRoom
            | Self::TooManyLeases
            | Self::LeaseQuota
            | Self::MemoryShort => false,
        }
    }
}

/// Reason why an object is not stored, or why space for it is not reserved. Nothing has changed, and where no
/// space is guaranteed to any bucket or tenant nothing was evicted for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WriteRefused {
    /// A sealed object has this name. Objects are immutable.
    #[error("the object exists already and objects are immutable: remove it first")]
    Exists,
    /// Another write of an object of this name is pending.
    #[error("the object is being written by another client: wait for that write to end")]
    Pending,
    /// The object is larger than the daemon takes.
    #[error(
        "the object is too large: store smaller ones or raise cache.object_len_max, object_len_max=`{object_len_max}`"
    )]
    TooLarge {
        /// The limit.
        object_len_max: ByteSize,
    },
    /// The object is larger than the arena: it can never fit.
    #[error(
        "the object is larger than the arena: store less or raise the capacity, capacity=`{capacity}`"
    )]
    BeyondCapacity {
        /// Size of the arena.
        capacity: ByteSize,
    },
    /// Eviction does not free enough: the rest is leased, in quarantine or pending.
    #[error("only leased, quarantined and pending objects are left: retry when leases end")]
    OnlyLeased,
    /// There would be enough space, but leased objects cut it into more pieces than one object
    /// may have.
    #[error("leased objects fragment the free space: retry when leases end or store less at once")]
    Fragmented,
    /// It will fit once more of the arena is populated.
    #[error("the arena is still being populated: retry shortly")]
    NotPopulated,
    /// The catalog's own memory is at its limit and eviction does not free enough of it.
    #[error(
        "the catalog is at its memory limit: raise cache.catalog_memory_max, cache.catalog_memory_max=`{memory_max}`"
    )]
    MemoryShort {
        /// The limit.
        memory_max: ByteSize,
    },
    /// The bucket, or the tenant that it counts for, has as much as its quota allows, and what is there
    /// cannot be evicted.
    #[error(
        "the quota of the {of} has no room for the object beside what is leased, pinned or being written: store less, release leases or raise bytes_max of the {of}, bytes_max=`{bytes_max}`"
    )]
    OverBytes {
        /// Owner of the quota.
        of: QuotaOf,
        /// The limit.
        bytes_max: ByteSize,
    },
    /// The same of a number of objects.
    #[error(
        "the quota of the {of} has no room for an object beside those that are leased, pinned or being written: release leases or raise objects_max of the {of}, objects_max=`{objects_max}`"
    )]
    OverObjects {
        /// Owner of the quota.
        of: QuotaOf,
        /// The limit.
        objects_max: u64,
    },
    /// No such write is pending: it was sealed or aborted before, or belongs to another caller.
    #[error("no such write: it was committed or aborted before")]
    Unknown,
    /// More bytes than were reserved cannot have been written.
    #[error("the object is longer than its reservation: reserve its length, reserved=`{reserved}`")]
    BeyondReservation {
        /// Bytes reserved.
        reserved: ByteSize,
    },
    /// More bytes came than were announced.
    #[error(
        "the body is longer than announced: send as much as Content-Length says, len=`{announced}`"
    )]
    TooLong {
        /// The announced length.
        announced: ByteSize,
    },
    /// Fewer bytes came than were announced.
    #[error(
        "the body is shorter than announced: send it again, received=`{received}`, len=`{announced}`"
    )]
    Incomplete {
        /// Bytes that came.
        received: ByteSize,
        /// The announced length.
        announced: ByteSize,
    },
    /// The deadline of the reservation has passed.
    #[error("the reservation has expired: reserve again, and write faster or less at once")]
    Expired,
    /// The connection has no writable descriptor.
    #[error("the connection has no writable descriptor: ask for one in the hello")]
    NotWritable,
    /// The caller, or all together, have as many open reservations, or as much in them, as they may.
    #[error("too many open reservations, or too much in them: commit or abort some first")]
    TooManyReservations,
}

/// Reason why an object is not removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RemoveRefused {
    /// No such object.
    #[error("no such object")]
    Absent,
    /// The object is pending.
    #[error("the object is being written: remove it once it is sealed")]
    Pending,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_its_place_and_a_word_of_its_own() {
        for (index, miss) in Miss::ALL.iter().enumerate() {
            assert_eq!(miss.index(), index);
        }
        let words: BTreeSet<_> = Miss::ALL.iter().map(|miss| miss.name()).collect();
        assert_eq!(words.len(), Miss::ALL.len());
    }
}
