//! Size of the parts that batches are worked through in.

/// How many keys, leases or reservations are worked on while the mutex is held.
pub(super) const PART: usize = 128;
