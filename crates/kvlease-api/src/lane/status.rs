//! Statuses of the items of a request, and the tables from the daemon's outcomes to them.

use kvlease_types::{Miss, RemoveRefused, WriteRefused};

numbered! {
    /// Status of one key of an acquire.
    LeaseStatus: u8 {
        /// The object is leased to the connection.
        Granted = 0 "granted",
        /// No such object.
        Absent = 1 "absent",
        /// No such object; it was there and was evicted lately.
        Evicted = 2 "evicted",
        /// The object was still being written when the wait ended.
        StillWriting = 3 "still_writing",
        /// The daemon is at its limit of live leases.
        TooManyLeases = 4 "too_many_leases",
        /// The catalog has no memory for another lease.
        MemoryShort = 5 "memory_short",
    }
}

numbered! {
    /// Status of one object of a reserve.
    ReserveStatus: u8 {
        /// The extents are the connection's to write into.
        Granted = 0 "granted",
        /// A sealed object has this name.
        Exists = 1 "exists",
        /// An object of this name is pending.
        BeingWritten = 2 "being_written",
        /// The object is larger than the daemon takes, or than the arena.
        TooLarge = 3 "too_large",
        /// Only leased, quarantined and pending objects are left, or the arena is still being
        /// populated.
        NoSpace = 4 "no_space",
        /// The catalog has no memory for another object.
        MemoryShort = 5 "memory_short",
        /// The connection has no writable descriptor.
        NotWritable = 6 "not_writable",
        /// The connection has as many open reservations as it may have.
        TooManyReservations = 7 "too_many_reservations",
    }
}

numbered! {
    /// Status of one item of any other request.
    DoneStatus: u8 {
        /// Done; for an exists: it is there.
        Done = 0 "done",
        /// No such object, or no such live lease or open reservation of this connection.
        Unknown = 1 "unknown",
        /// A reservation of the connection that ended by its deadline before. Older daemons said so of
        /// a lease, too.
        Expired = 2 "expired",
        /// The object is pending: it cannot be removed, or stored again, before that ends.
        BeingWritten = 3 "being_written",
        /// A sealed object has this name; the spare reservation is open still.
        Exists = 4 "exists",
        /// The catalog has no memory for the name, or a quota has no room for the object; the spare reservation
        /// is open still.
        MemoryShort = 5 "memory_short",
    }
}

impl LeaseStatus {
    /// The status of an object that is not leased.
    pub const fn of_miss(miss: Miss) -> Self {
        match miss {
            // Version 1 has no word for the latter two.
            Miss::Absent | Miss::Elsewhere | Miss::Corrupt => Self::Absent,
            Miss::Evicted => Self::Evicted,
            // Version 1 has no word for the latter.
            Miss::Pending | Miss::NoRoom => Self::StillWriting,
            // Version 1 has no word for the latter.
            Miss::TooManyLeases | Miss::LeaseQuota => Self::TooManyLeases,
            Miss::MemoryShort => Self::MemoryShort,
        }
    }
}

impl ReserveStatus {
    /// The status of an object for which no space is reserved.
    pub const fn of_write(refused: WriteRefused) -> Self {
        use WriteRefused as Refused;
        match refused {
            Refused::Exists => Self::Exists,
            Refused::Pending => Self::BeingWritten,
            Refused::TooLarge { .. } | Refused::BeyondCapacity { .. } => Self::TooLarge,
            Refused::OnlyLeased
            | Refused::Fragmented
            | Refused::NotPopulated
            | Refused::OverBytes { .. }
            | Refused::OverObjects { .. } => Self::NoSpace,
            Refused::MemoryShort { .. } => Self::MemoryShort,
            Refused::NotWritable => Self::NotWritable,
            Refused::TooManyReservations => Self::TooManyReservations,
            // These end a write, and no reserve.
            Refused::Unknown
            | Refused::BeyondReservation { .. }
            | Refused::TooLong { .. }
            | Refused::Incomplete { .. }
            | Refused::Expired => Self::NoSpace,
        }
    }
}

impl DoneStatus {
    /// The status of a reservation that is not committed, and of a spare one that is not stored.
    pub const fn of_commit(refused: WriteRefused) -> Self {
        use WriteRefused as Refused;
        match refused {
            Refused::Expired => Self::Expired,
            // Only a spare reservation gets its name that late.
            Refused::Exists => Self::Exists,
            Refused::Pending => Self::BeingWritten,
            Refused::MemoryShort { .. }
            | Refused::OverBytes { .. }
            | Refused::OverObjects { .. } => Self::MemoryShort,
            // No other of these ends a commit: the reservation is not the connection's any more.
            Refused::Unknown
            | Refused::TooLarge { .. }
            | Refused::BeyondCapacity { .. }
            | Refused::OnlyLeased
            | Refused::Fragmented
            | Refused::NotPopulated
            | Refused::BeyondReservation { .. }
            | Refused::TooLong { .. }
            | Refused::Incomplete { .. }
            | Refused::NotWritable
            | Refused::TooManyReservations => Self::Unknown,
        }
    }

    /// The status of an object that is not removed.
    pub const fn of_remove(refused: RemoveRefused) -> Self {
        match refused {
            RemoveRefused::Absent => Self::Unknown,
            RemoveRefused::Pending => Self::BeingWritten,
        }
    }

    /// The status of a lease that a request names, by whether it was a live one of the connection.
    pub const fn of_lease(live: bool) -> Self {
        if live { Self::Done } else { Self::Unknown }
    }

    /// The status of a key by whether the object is there.
    pub const fn of_exists(there: bool) -> Self {
        if there { Self::Done } else { Self::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_status_of_a_lease_has_the_word_of_its_miss() {
        let mut reached = BTreeSet::from(["granted"]);
        for miss in Miss::ALL {
            let status = LeaseStatus::of_miss(*miss);
            // Version 1 has no word for an object that waits for room in the arena, and none for quotas.
            let known = match *miss {
                Miss::NoRoom => Miss::Pending,
                Miss::LeaseQuota => Miss::TooManyLeases,
                miss => miss,
            };
            assert!(status == LeaseStatus::Absent || status.name() == known.name(), "{miss:?}");
            assert_eq!(status == LeaseStatus::Absent, miss.is_absence() && *miss != Miss::Evicted);
            reached.insert(status.name());
        }
        assert_eq!(reached.len(), LeaseStatus::ALL.len(), "every status is reached");
    }
}
