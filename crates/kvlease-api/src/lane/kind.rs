//! Kinds of frames.

numbered! {
    /// Kind of a frame. Requests are below 128, answers above.
    Kind: u16 {
        /// The client's first frame.
        Hello = 1 "HELLO",
        /// Lease objects.
        Acquire = 2 "ACQUIRE",
        /// End leases.
        Release = 3 "RELEASE",
        /// Extend leases.
        Renew = 4 "RENEW",
        /// Ask which objects are there.
        Exists = 5 "EXISTS",
        /// Remove objects.
        Remove = 6 "REMOVE",
        /// Ask for space to write objects into.
        Reserve = 7 "RESERVE",
        /// Publish what was written.
        Commit = 8 "COMMIT",
        /// Discard what was written.
        Abort = 9 "ABORT",
        /// Ask for the published index.
        Index = 10 "INDEX",
        /// Say which objects were read without a lease.
        Used = 11 "USED",
        /// Ask for spare reservations: space ahead of need.
        Prepare = 12 "PREPARE",
        /// Publish what was written into spare reservations, under keys.
        Store = 13 "STORE",
        /// The answer to a hello.
        Welcome = 129 "WELCOME",
        /// The answer to an acquire.
        Leases = 130 "LEASES",
        /// One status for each item of the request.
        Done = 131 "DONE",
        /// The answer to a renew.
        Renewed = 132 "RENEWED",
        /// The answer to a reserve.
        Reservations = 133 "RESERVATIONS",
        /// The answer to an index.
        Indexed = 134 "INDEXED",
        /// The request was refused as a whole.
        Error = 255 "ERROR",
    }
}

impl Kind {
    /// Whether it is a request of a client.
    pub const fn is_request(self) -> bool {
        self.number() < Self::ANSWERS_FROM
    }

    /// The least number of an answer.
    const ANSWERS_FROM: u16 = 128;
}
