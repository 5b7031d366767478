//! Ages of the live leases.

use kvlease_cache::LeaseAges;

use crate::{clock::now, shared::Shared};

/// The most parts that are looked at: as many leases as a daemon allows without being configured.
const PARTS_MAX: usize = 64;

impl Shared {
    /// See [`Engine::lease_ages`](crate::Engine::lease_ages). The catalog is unlocked between parts.
    pub(crate) fn lease_ages(&self) -> LeaseAges {
        let (mut ages, mut from) = (LeaseAges::default(), Some(0));
        for _ in 0..PARTS_MAX {
            let Some(place) = from else { break };
            let part;
            (part, from) = self.state().catalog.lease_ages(place, now());
            ages.add(&part);
        }
        ages
    }
}
