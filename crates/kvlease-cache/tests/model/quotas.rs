//! Quotas, on the catalog and its model: who has what, who leaves for whom, and which refusal is right.

use kvlease_cache::{BucketOwners, QuotaConfig, QuotaUse, UNIT};
use kvlease_testing::Draws;
use kvlease_types::{BucketName, ByteSize, KeyGroup, Quota, QuotaOf, TenantId, WriteRefused};

use crate::{
    naive::{Object, State},
    run::Run,
};

/// Objects and units.
type Amount = (u64, u64);

/// Place of the tenant that a bucket counts for.
fn owner_of(bucket: &str) -> Option<usize> {
    match bucket {
        "b0" | "b1" => Some(0),
        "b2" => Some(1),
        _ => None,
    }
}

fn quota(draws: &mut Draws, units: u64) -> Quota {
    let size = |units: u64| Some(ByteSize::new(units * UNIT.bytes()));
    Quota {
        bytes_max: if draws.one_in(2) {
            size(units / 4 + 1 + draws.below(units / 2))
        } else {
            None
        },
        bytes_guaranteed: if draws.one_in(3) { size(1 + draws.below(units / 5)) } else { None },
        objects_max: draws.one_in(4).then(|| 2 + draws.below(30)),
        leases_max: draws.one_in(2).then(|| 1 + draws.below(5)),
        requests_per_s: None,
    }
}

/// Quotas of the buckets and tenants that objects are stored for.
pub(crate) fn quotas(draws: &mut Draws, units: u64) -> QuotaConfig {
    let buckets = ["b0", "b1"].map(|name| (BucketName::new(name).unwrap(), quota(draws, units)));
    QuotaConfig {
        buckets: buckets.into(),
        tenants: vec![quota(draws, units), quota(draws, units)],
        owners: BucketOwners::new(|bucket| owner_of(bucket).and_then(TenantId::at)),
    }
}

impl Run {
    /// Whether any bucket or tenant is guaranteed space.
    pub(crate) fn have_guarantees(&self) -> bool {
        let quotas = &self.config.quotas;
        let mut all = quotas.buckets.values().chain(&quotas.tenants);
        all.any(|quota| quota.bytes_guaranteed.is_some())
    }

    /// Whether a bucket or its tenant is guaranteed space.
    pub(crate) fn is_guaranteed(&self, bucket: &str) -> bool {
        self.quotas_of(bucket).iter().any(|(_, quota, _)| quota.bytes_guaranteed.is_some())
    }

    /// Quotas that a bucket is under, with a test of which buckets are as well.
    fn quotas_of(&self, bucket: &str) -> Vec<(QuotaOf, Quota, Vec<&'static str>)> {
        let quotas = &self.config.quotas;
        let own = ["b0", "b1", "b2"].into_iter().filter(|name| *name == bucket).collect();
        let of_bucket = quotas.buckets.iter().find(|(name, _)| name.as_str() == bucket);
        let of_bucket = of_bucket.map(|(_, quota)| (QuotaOf::Bucket, *quota, own));
        let of_tenant = owner_of(bucket).filter(|place| *place < quotas.tenants.len());
        let of_tenant = of_tenant.map(|place| {
            let all = ["b0", "b1", "b2"].into_iter();
            let buckets = all.filter(|name| owner_of(name) == Some(place)).collect();
            (QuotaOf::Tenant, quotas.tenants[place], buckets)
        });
        of_bucket.into_iter().chain(of_tenant).collect()
    }

    fn sum(&self, buckets: &[&str], wanted: impl Fn(u64, &Object) -> bool) -> Amount {
        let all = self.model.objects.iter().filter(|(number, object)| {
            buckets.contains(&object.name.0.as_str()) && wanted(**number, object)
        });
        all.fold((0, 0), |(objects, units), (_, object)| (objects + 1, units + object.units()))
    }

    /// Asserts that each quota counts what is live, and that none gets more than it allows.
    pub(crate) fn check_quotas(&mut self) {
        let live = |_: u64, object: &Object| !matches!(object.state, State::Departed(_));
        let uses = self.catalog.quota_uses();
        let of_bucket =
            |bucket: &str| uses.buckets.iter().find(|(name, _)| name.as_str() == bucket);
        let of_tenant =
            |place: usize| uses.tenants.iter().find(|(tenant, _)| tenant.place() == place);
        let mut found = Vec::new();
        for bucket in ["b0", "b1", "b2"] {
            for (of, quota, buckets) in self.quotas_of(bucket) {
                let usage: Option<QuotaUse> = match of {
                    QuotaOf::Bucket => of_bucket(bucket).map(|(_, usage)| *usage),
                    QuotaOf::Tenant => {
                        of_tenant(owner_of(bucket).unwrap()).map(|(_, usage)| *usage)
                    }
                };
                // Of a tenant without a quota of space nothing is counted.
                let is_counted = of == QuotaOf::Bucket || quota.is_of_space();
                let Some(usage) = usage.filter(|_| is_counted) else { continue };
                let used = self.sum(&buckets, live);
                assert_eq!(
                    (usage.objects, usage.bytes.bytes() / UNIT.bytes()),
                    used,
                    "{of} {bucket}"
                );
                let is_within = quota.objects_max.is_none_or(|max| used.0 <= max)
                    && quota.bytes_max.is_none_or(|max| used.1 <= max.bytes() / UNIT.bytes());
                let before = self.used.get(&(of, bucket)).copied().unwrap_or((u64::MAX, u64::MAX));
                // A restart may bring back what had left.
                let grows = used.0 > before.0 || used.1 > before.1;
                assert!(is_within || !grows, "{of} of {bucket} has {used:?} of {quota:?}");
                self.reached.quotas_full += u64::from(quota.objects_max == Some(used.0));
                found.push(((of, bucket), used));
            }
        }
        self.used = found.into_iter().collect();
    }

    /// Asserts that an object that was chosen within a quota is under one of which half is used at least.
    pub(crate) fn check_near_quota(&self, number: u64) {
        let bucket = &self.model.objects[&number].name.0;
        assert!(self.near_quota(bucket).is_some(), "{bucket} has room enough within its quotas");
    }

    /// Bucket in whose favour a victim is given up that may leave for room within its own quota.
    pub(crate) fn favoured_by_quota(&self, bucket: &str) -> Option<String> {
        let of = self.near_quota(bucket).filter(|_| self.config.ahead_of_quotas)?;
        let other = ["b0", "b1"].into_iter().find(|name| *name != bucket);
        match (of, other) {
            // What the bucket itself is guaranteed stays.
            (QuotaOf::Tenant, Some(other)) if owner_of(bucket) == owner_of(other) => {
                Some(other.into())
            }
            _ => Some(bucket.to_owned()),
        }
    }

    /// A quota of a bucket of which half is used at least, with what is chosen to leave.
    fn near_quota(&self, bucket: &str) -> Option<QuotaOf> {
        let live = |_: u64, object: &Object| !matches!(object.state, State::Departed(_));
        let near = self.quotas_of(bucket).into_iter().find(|(_, quota, buckets)| {
            let (objects, units) = self.sum(buckets, live);
            quota.objects_max.is_some_and(|max| 2 * objects >= max)
                || quota.bytes_max.is_some_and(|max| 2 * units >= max.bytes() / UNIT.bytes())
        });
        near.map(|(of, ..)| of)
    }

    /// Asserts that an object may leave in favour of who writes now: neither its bucket nor its tenant had only
    /// what it is guaranteed.
    pub(crate) fn check_may_leave(&mut self, name: &(String, String)) {
        if KeyGroup::of(&name.1).is_some() {
            // Of a group that is broken up the rest is of no use.
            return;
        }
        let favoured = self.favoured.clone().unwrap_or_default();
        if favoured == name.0 {
            return;
        }
        for (of, quota, buckets) in self.quotas_of(&name.0) {
            let guaranteed = quota.bytes_guaranteed.map_or(0, |size| size.bytes() / UNIT.bytes());
            let is_own = of == QuotaOf::Tenant && owner_of(&favoured) == owner_of(&name.0);
            if guaranteed == 0 || is_own {
                continue;
            }
            let (_, sealed) = self.sum(&buckets, |_, o| matches!(o.state, State::Sealed(_)));
            assert!(sealed > guaranteed, "{of} of {} has {sealed} of {guaranteed}", name.0);
            self.reached.left_beyond_guarantee += 1;
        }
    }

    /// Asserts that a quota leaves no room for this much more, whatever of its own is evicted. False if the error is
    /// about no quota.
    pub(crate) fn check_quota_refusal(
        &mut self,
        bucket: &str,
        error: WriteRefused,
        (objects, units): Amount,
    ) -> bool {
        let of = match error {
            WriteRefused::OverBytes { of, .. } | WriteRefused::OverObjects { of, .. } => of,
            _ => return false,
        };
        self.reached.refused_quota += 1;
        let known = self.quotas_of(bucket).into_iter().find(|(other, ..)| *other == of);
        let (_, quota, buckets) = known.expect("it is under that quota");
        if self.have_guarantees() {
            // A bucket of the same tenant may keep what it is guaranteed.
            return true;
        }
        let stays = |number: u64, object: &Object| {
            let is_sealed = matches!(object.state, State::Sealed(_));
            let may_go = is_sealed && !object.is_kept() && !self.model.is_read(number);
            !may_go && !matches!(object.state, State::Departed(_))
        };
        let left = self.sum(&buckets, stays);
        let (objects, units) = (left.0 + objects, left.1 + units);
        match error {
            WriteRefused::OverBytes { bytes_max, .. } => {
                assert_eq!(Some(bytes_max), quota.bytes_max);
                assert!(
                    units > bytes_max.bytes() / UNIT.bytes(),
                    "there is room for {units} units"
                );
            }
            WriteRefused::OverObjects { objects_max, .. } => {
                assert_eq!(Some(objects_max), quota.objects_max);
                assert!(objects > objects_max, "there is room for {objects} objects");
            }
            _ => unreachable!("of no quota"),
        }
        true
    }

    /// Asserts that a bucket has as many leases as it may.
    pub(crate) fn check_lease_quota(&mut self, bucket: &str) {
        let quotas = &self.config.quotas.buckets;
        let (_, quota) =
            quotas.iter().find(|(name, _)| name.as_str() == bucket).expect("it has one");
        let live = self.model.live_leases();
        let of_bucket = live.iter().filter(|id| {
            let lease = &self.model.leases[&(id.epoch.number(), id.sequence)];
            self.model.objects[&lease.object].name.0 == bucket
        });
        assert!(of_bucket.count() as u64 >= quota.leases_max.expect("it has a limit"));
        self.reached.refused_lease_quota += 1;
    }
}
