//! Activity of tenants: whether more than one was at work lately.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use kvlease_types::TenantId;

/// How long a tenant counts as active since it was at work, in milliseconds. The first request after a longer pause
/// may find all threads taken.
const ACTIVE_MS: u64 = 100;

/// The two tenants that were at work last, each with when.
///
/// Two tell enough: of any number of tenants that take turns, one of the two latest is another one.
#[derive(Debug)]
pub(super) struct Activity {
    started: Instant,
    latest: [AtomicU64; 2],
}

/// A tenant and the millisecond in which it was at work, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Work(u64);

impl Activity {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), latest: Default::default() }
    }

    /// Notes that a tenant is at work at this time. Returns whether another one was lately.
    pub(super) fn note(&self, tenant: TenantId, now: u64) -> bool {
        let latest = self.latest.each_ref().map(|word| Work(word.load(Relaxed)));
        let own = latest.iter().position(|work| work.number() == tenant.number());
        let place = own.unwrap_or_else(|| usize::from(latest[1].at() < latest[0].at()));
        let work = Work::new(tenant, now);
        // Written once in a millisecond, and not by each connection.
        if latest[place] != work {
            self.latest[place].store(work.0, Relaxed);
        }
        latest.iter().any(|work| work.is_of_other(tenant, now))
    }

    /// True if a tenant beside this one was at work lately.
    pub(super) fn others_are_active(&self, tenant: TenantId, now: u64) -> bool {
        self.latest.iter().any(|word| Work(word.load(Relaxed)).is_of_other(tenant, now))
    }

    /// Milliseconds since the start.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Work {
    const fn new(tenant: TenantId, now: u64) -> Self {
        Self(now << u16::BITS | tenant.number() as u64)
    }

    /// Number of the tenant; 0 for none.
    const fn number(self) -> u16 {
        self.0 as u16
    }

    const fn at(self) -> u64 {
        self.0 >> u16::BITS
    }

    fn is_of_other(self, tenant: TenantId, now: u64) -> bool {
        let is_other = self.number() != 0 && self.number() != tenant.number();
        is_other && self.at() + ACTIVE_MS >= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(place: usize) -> TenantId {
        TenantId::at(place).unwrap()
    }

    #[test]
    fn of_many_tenants_each_knows_that_it_is_not_alone() {
        let activity = Activity::new();
        assert!(!activity.note(tenant(4), 500));
        for now in 501..600 {
            for place in 0..9 {
                assert!(activity.note(tenant(place), now), "{place} at {now}");
                assert!(activity.others_are_active(tenant(place), now));
            }
        }
        assert!(!activity.others_are_active(tenant(3), 700));
    }

    #[test]
    fn a_tenant_is_active_for_a_while() {
        let activity = Activity::new();
        assert!(!activity.note(tenant(0), 1_000) && activity.note(tenant(1), 1_000));
        assert!(activity.others_are_active(tenant(0), 1_100));
        assert!(!activity.others_are_active(tenant(0), 1_101));
    }
}
