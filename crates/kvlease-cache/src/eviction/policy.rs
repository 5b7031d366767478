//! The contract between the catalog and an eviction policy.

/// An order of eviction. All calls take amortised constant time.
pub(crate) trait EvictionPolicy: Send + std::fmt::Debug {
    /// An object was sealed.
    ///
    /// The caller guarantees that `slot` is not in the policy. `hash` identifies the object by
    /// its name, also after it was evicted and stored again; `weight` is its size in units. The
    /// object starts unpinned.
    fn insert(&mut self, slot: u32, hash: u64, weight: u32);

    /// An object was asked for.
    ///
    /// The caller guarantees that `slot` is in the policy; it may be pinned.
    fn touch(&mut self, slot: u32);

    /// The object must not be evicted from now on.
    ///
    /// The caller guarantees that `slot` is in the policy and unpinned.
    fn pin(&mut self, slot: u32);

    /// The object may be evicted again.
    ///
    /// The caller guarantees that `slot` is in the policy and pinned.
    fn unpin(&mut self, slot: u32);

    /// The object is gone for another reason than [`evict`](Self::evict); it may be pinned.
    ///
    /// The caller guarantees that `slot` is in the policy. The policy must forget it.
    fn remove(&mut self, slot: u32);

    /// The weight of an object has changed. That is no use of it.
    ///
    /// The caller guarantees that `slot` is in the policy; it may be pinned. A policy that does not weigh
    /// objects has nothing to do.
    fn reweigh(&mut self, _slot: u32, _weight: u32) {}

    /// Chooses an object to evict and forgets it.
    ///
    /// Must return an unpinned object if there is one, and `None` otherwise. Pinned objects must
    /// not be looked at again and again: each costs at most one step per time it is pinned.
    fn evict(&mut self) -> Option<u32>;

    /// Asserts that the lists are whole and that they hold exactly `unpinned` unpinned objects.
    fn check(&self, unpinned: u64);
}
