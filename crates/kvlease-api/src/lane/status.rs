//! How it went with one item of a request.

numbered! {
    /// How it went with one key of an acquire.
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
    /// How it went with one object of a reserve.
    ReserveStatus: u8 {
        /// The extents are the connection's to write into.
        Granted = 0 "granted",
        /// A sealed object has this name.
        Exists = 1 "exists",
        /// Somebody is writing an object of this name.
        BeingWritten = 2 "being_written",
        /// The object is larger than the daemon takes, or than the arena.
        TooLarge = 3 "too_large",
        /// Only leased, quarantined and unfinished objects are left, or the arena is still being
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
    /// How it went with one item of any other request.
    DoneStatus: u8 {
        /// Done; for an exists: it is there.
        Done = 0 "done",
        /// No such object, or no such lease or reservation of this connection.
        Unknown = 1 "unknown",
        /// It was the connection's, and ended by its deadline before.
        Expired = 2 "expired",
        /// The object is being written and cannot be removed before that ends.
        BeingWritten = 3 "being_written",
    }
}
