//! The contract between the catalog and an eviction policy.

/// Outcome of one step of handing a class over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HandOver {
    /// This object comes next.
    Next(u32),
    /// An object stayed or was set aside: the next step goes on.
    Later,
    /// No unpinned object is left.
    Over,
}

impl HandOver {
    pub(super) fn of(next: Option<u32>) -> Self {
        next.map_or(Self::Over, Self::Next)
    }
}

/// Orders of eviction, one for each class of objects. All calls take amortised constant time.
///
/// Classes are numbered from 0 on, without large gaps. What is learned of objects may be of all classes of an
/// owner together, and is never of those of two.
pub(crate) trait EvictionPolicy: Send + std::fmt::Debug {
    /// Gives a class an owner. Until then it has that of the number 0.
    ///
    /// The caller guarantees that the class has no objects, or this owner already. A policy that learns nothing has
    /// nothing to do.
    fn assign(&mut self, _class: u8, _owner: u8) {}

    /// An object was sealed.
    ///
    /// The caller guarantees that `slot` is not in the policy. `hash` identifies the object by
    /// its name, also after it was evicted and stored again; `weight` is its size in units. The
    /// object starts unpinned, in the order of `class`.
    fn insert(&mut self, slot: u32, hash: u64, weight: u32, class: u8);

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

    /// The entry stands for other objects as well, which have this weight together. That is no use of it.
    ///
    /// The caller guarantees that `slot` is in the policy; it may be pinned. A policy has nothing to do that
    /// asks what the room for one object is worth: a use of the entry is one of each object.
    fn reweigh(&mut self, _slot: u32, _weight: u32) {}

    /// Takes the memory for this many slots at once: their first objects need none.
    fn reserve(&mut self, slots: usize);

    /// Chooses an object of a class to evict and forgets it.
    ///
    /// Must return an unpinned object of it if there is one, and `None` otherwise. Pinned objects must
    /// not be looked at again and again: each costs at most one step per time it is pinned.
    fn evict(&mut self, class: u8) -> Option<u32>;

    /// One step, of constant time, towards the object that [`evict`](Self::evict) would choose, for which another policy
    /// cares from now on. It is forgotten, and what is learned from evictions need not be.
    fn hand_over(&mut self, class: u8) -> HandOver;

    /// Asserts that the lists are whole and that those of each class hold exactly as many unpinned
    /// objects as `unpinned` says. Classes behind its end hold none.
    fn check(&self, unpinned: &[u64]);
}
