//! Accounts of buckets and tenants, kept up to date: what they hold, and what of it can be evicted.
//!
//! Objects of the class of all others are in no account: without quotas and policies nothing is counted.

use kvlease_types::{BucketName, Caller, Miss};

use super::Catalog;
use crate::{
    classes::{Favoured, OTHERS},
    objects::{Object, State},
    quota_config::QuotaConfig,
    quotas::{Amount, QuotaUses},
    slab::NONE,
};

impl Catalog {
    /// Uses of buckets and tenants with a quota.
    pub fn quota_uses(&self) -> QuotaUses {
        let mut uses = self.classes.quota_uses();
        for (tenant, usage) in &mut uses.tenants {
            (usage.leases, usage.refused.leases) = self.leases.of_tenant(*tenant);
        }
        uses
    }

    /// Changes quotas. What is there stays: who has more than it may makes room as it stores, and where room is made
    /// ahead of need, from now on. A tenant that had no quota of space from the beginning gets none. Returns false if
    /// too many buckets have a policy or a quota: then some have none.
    ///
    /// [`apply_policies`](Self::apply_policies) is to be called then, from 0 on to its end.
    #[must_use]
    pub fn set_quotas(&mut self, quotas: &QuotaConfig) -> bool {
        let changed = self.classes.set_quotas(quotas);
        self.leases.set_tenants(&quotas.tenants);
        changed.iter().for_each(|bucket| self.assign_class(bucket));
        self.short_within_quotas = self.config.ahead_of_quotas;
        let QuotaConfig { buckets, tenants, .. } = quotas.clone();
        let mut named = buckets.keys();
        let all = named.all(|bucket| self.classes.of_policy(bucket).is_some());
        (self.config.quotas.buckets, self.config.quotas.tenants) = (buckets, tenants);
        all
    }

    /// Number under which what a bucket has is counted: its own if it has a policy or a quota, else that of its tenant or
    /// of all others.
    pub fn class(&self, bucket: &BucketName) -> u8 {
        self.class_of(bucket, self.objects.find_bucket(bucket.as_str()))
    }

    /// Class of a bucket, which is `known` if it was found.
    pub(super) fn class_of(&self, bucket: &BucketName, known: Option<u32>) -> u8 {
        known.map_or_else(|| self.classes.of(bucket), |id| self.objects.bucket(id).class)
    }

    /// Gives an object that has its name now its class, and counts what it holds.
    pub(super) fn join_account(&mut self, slot: u32, class: u8) {
        let bucket = self.objects[slot].bucket;
        self.objects.bucket_mut(bucket).class = class;
        self.objects[slot].class = class;
        self.hold(slot);
    }

    /// Gives an object that is counted another class.
    pub(super) fn change_account(&mut self, slot: u32, class: u8) {
        if self.objects[slot].class == class {
            return;
        }
        self.unhold(slot);
        self.objects[slot].class = class;
        self.hold(slot);
    }

    /// Counts what a pending, sealed or removed object holds, with its leases.
    pub(super) fn hold(&mut self, slot: u32) {
        let object = &self.objects[slot];
        if object.class != OTHERS {
            let amount = Amount::of(object);
            self.classes.change(object.class, |account| account.held.add(amount));
            self.classes.get_mut(object.class).account.leases += u64::from(object.leases);
            self.watch_quota(self.objects[slot].class);
        }
    }

    /// Counts it no longer.
    pub(super) fn unhold(&mut self, slot: u32) {
        let object = &self.objects[slot];
        if object.class != OTHERS {
            let amount = Amount::of(object);
            self.classes.change(object.class, |account| account.held.subtract(amount));
            self.classes.get_mut(object.class).account.leases -= u64::from(object.leases);
        }
    }

    /// Counts an object that can be evicted from now on.
    pub(super) fn add_evictable(&mut self, slot: u32) {
        let object = &self.objects[slot];
        self.evictable.add(object);
        if object.class != OTHERS {
            let amount = Amount::of(object);
            self.classes.change(object.class, |account| account.evictable.add(amount));
        }
    }

    /// Counts it no longer.
    pub(super) fn subtract_evictable(&mut self, slot: u32) {
        let object = &self.objects[slot];
        self.evictable.subtract(object);
        if object.class != OTHERS {
            let amount = Amount::of(object);
            self.classes.change(object.class, |account| account.evictable.subtract(amount));
        }
    }

    /// Reason why an object gets no further lease of this caller, as things are.
    pub(super) fn lease_refusal(&self, caller: &Caller, slot: u32) -> Option<Miss> {
        self.leases.refusal(caller).or_else(|| {
            let class = self.objects[slot].class;
            let is_used_up = class != OTHERS && self.classes.get(class).account.has_all_leases();
            is_used_up.then_some(Miss::LeaseQuota)
        })
    }

    /// Counts a lease that was refused for a quota: of the tenant, or else of the bucket.
    pub(super) fn count_refused_lease(&mut self, caller: &Caller, slot: u32) {
        if !self.leases.count_refused(caller) {
            let class = self.objects[slot].class;
            self.classes.get_mut(class).account.refused.leases += 1;
        }
    }

    /// Spares a victim that was chosen in favour of others, if its bucket or tenant has no more than it is
    /// guaranteed by now. Of a group of which one has left the others are of no use, and are not spared.
    pub(super) fn spare_guaranteed(&mut self, slot: u32, favoured: Favoured) -> bool {
        if !self.classes.is_due_to_stay(self.objects[slot].class, favoured) {
            return false;
        }
        let Object { group, state, .. } = self.objects[slot];
        debug_assert_eq!(state, State::Sealed, "a victim is sealed");
        if group != NONE && self.groups.group(group).lost {
            return false;
        }
        self.spare_victim(slot);
        true
    }
}
