//! Classes of objects: which bucket's policy each object is under, and which class gives room next.
//!
//! Each bucket with a policy or a quota is a class. Of the others, those that count for a tenant with a quota of
//! space are a class together, and all that are left are one. The catalog asks one class after the other for
//! an object to evict:
//!
//! 1. A class that has no more than [what it is guaranteed](crate::quotas) is not asked for others.
//! 2. A class of a lower priority comes before all classes of a higher one.
//! 3. Among classes of the same priority, the one comes first whose objects take the most space for its
//!    weight, beyond what it is guaranteed. So a class that takes less than its weight's part of what all of them take
//!    loses nothing, whatever is stored in the others.
//! 4. Within a class, the eviction policy decides.
//!
//! Objects with a pinned prefix are evicted by none of these, as long as all of them together keep within
//! their bounds; one that is stored beyond is as any other.

mod accounts;

use std::{cmp::Reverse, collections::BTreeMap, mem, time::Duration};

use kvlease_types::{BUCKET_POLICIES_MAX, BucketName, BucketPolicy, Quota, TenantId, Timestamp};

use crate::{
    config::SPACE_QUOTAS_MAX,
    objects::Object,
    quota_config::QuotaConfig,
    quotas::{Account, Amount},
};

/// Numbers of classes that have nothing to evict.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Exhausted(u128);

// One bit for each class: those of the tenants and of the buckets, and that of all others.
const _: () = assert!(BUCKET_POLICIES_MAX + SPACE_QUOTAS_MAX < u128::BITS as usize);

/// Class of all buckets that have no policy, no quota, and no tenant with one. It has no account.
pub(crate) const OTHERS: u8 = 0;

/// Class in whose favour something leaves; `None` where it is for the next writer.
pub(crate) type Favoured = Option<u8>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Classes {
    /// By number. The first is that of all others, then come those of tenants, then those of buckets.
    classes: Vec<Class>,
    of_bucket: BTreeMap<BucketName, u8>,
    /// Quotas as they were configured.
    quotas: QuotaConfig,
    /// Tenants with a quota of space, each with its class at the place behind.
    tenants: Vec<(TenantId, Account)>,
    /// Whether any bucket or tenant is guaranteed space.
    have_guarantees: bool,
    /// Classes whose objects have a time to live.
    with_ttl: usize,
    /// Pinned objects of all classes.
    pinned: Pinned,
}

/// One class of objects.
#[derive(Default, Debug)]
pub(crate) struct Class {
    pub(crate) policy: BucketPolicy,
    /// Sealed objects.
    pub(crate) objects: u64,
    /// Account of its bucket.
    pub(crate) account: Account,
    /// Place of the tenant that it counts for.
    tenant: Option<u8>,
    /// Owner of its objects: settled with its number, since the policy counts each object for one.
    owner: u8,
    pub(crate) pinned: Pinned,
    pub(crate) totals: ClassTotals,
}

/// Objects that are pinned.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Pinned {
    pub(crate) objects: u64,
    pub(crate) units: u64,
}

/// Counts of a class since it has its policy.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct ClassTotals {
    pub(crate) evicted: u64,
    pub(crate) evicted_bytes: u64,
    pub(crate) expired: u64,
    /// Objects with a pinned prefix that were stored beyond the bounds.
    pub(crate) unpinned: u64,
}

impl Exhausted {
    pub(crate) const fn add(&mut self, class: u8) {
        self.0 |= 1 << class;
    }

    const fn has(self, class: u8) -> bool {
        self.0 >> class & 1 == 1
    }

    /// All classes but some of the first `len`.
    fn all_but(len: usize, is_left: impl Fn(u8) -> bool) -> Self {
        let mut exhausted = Self::default();
        (0..len as u8).filter(|class| !is_left(*class)).for_each(|class| exhausted.add(class));
        exhausted
    }
}

impl Classes {
    /// The classes of a catalog without policies.
    pub(crate) fn new(quotas: &QuotaConfig) -> Self {
        let with_space = |(place, quota): (usize, &Quota)| {
            Some((TenantId::at(place)?, Account::new(*quota))).filter(|_| quota.is_of_space())
        };
        let tenants = quotas.tenants.iter().enumerate().filter_map(with_space);
        let tenants: Vec<_> = tenants.take(SPACE_QUOTAS_MAX).collect();
        let of_tenant = |place| Class { tenant: Some(place), owner: place + 1, ..Class::default() };
        let of_tenants = (0..tenants.len() as u8).map(of_tenant);
        let classes = std::iter::once(Class::default()).chain(of_tenants).collect();
        let mut classes = Self {
            classes,
            of_bucket: BTreeMap::new(),
            quotas: quotas.clone(),
            tenants,
            have_guarantees: false,
            with_ttl: 0,
            pinned: Pinned::default(),
        };
        for bucket in quotas.buckets.keys() {
            classes.set(bucket, BucketPolicy::default());
        }
        classes.look_for_guarantees();
        classes
    }

    /// Changes quotas: of tenants those of space where they had one from the beginning. Returns the buckets that have
    /// another class from now on.
    pub(crate) fn set_quotas(&mut self, quotas: &QuotaConfig) -> Vec<BucketName> {
        self.quotas.buckets.clone_from(&quotas.buckets);
        self.quotas.tenants.clone_from(&quotas.tenants);
        for (tenant, account) in &mut self.tenants {
            account.quota = quotas.tenants.get(tenant.place()).copied().unwrap_or_default();
        }
        for (bucket, class) in &self.of_bucket {
            let quota = quotas.buckets.get(bucket).copied().unwrap_or_default();
            self.classes[usize::from(*class)].account.quota = quota;
        }
        let new = quotas.buckets.keys().filter(|bucket| !self.of_bucket.contains_key(*bucket));
        let mut new: Vec<_> = new.cloned().collect();
        new.retain(|bucket| self.set(bucket, BucketPolicy::default()));
        self.look_for_guarantees();
        new.extend(self.renumber());
        new
    }

    /// Gives buckets whose objects have another owner from now on another class, as far as there are numbers: what is
    /// in the former class keeps its owner until it was given the new one. Returns these buckets.
    fn renumber(&mut self) -> Vec<BucketName> {
        let of_bucket = self.of_bucket.iter();
        let is_due = |class: u8| self.due_owner(class) != self.owner(class);
        let due = of_bucket.filter(|(_, class)| is_due(**class));
        let mut due: Vec<_> = due.map(|(bucket, class)| (bucket.clone(), *class)).collect();
        due.retain(|(bucket, former)| {
            let Some(class) = self.vacancy() else { return false };
            let former = self.get_mut(*former);
            let Account { quota, refused, .. } = &mut former.account;
            let (quota, refused) = (mem::take(quota), mem::take(refused));
            let account = Account { refused, ..Account::new(quota) };
            let (policy, totals) = (mem::take(&mut former.policy), mem::take(&mut former.totals));
            let tenant = former.tenant;
            *self.get_mut(class) = Class { policy, account, tenant, totals, ..Class::default() };
            self.get_mut(class).owner = self.due_owner(class);
            self.of_bucket.insert(bucket.clone(), class);
            true
        });
        due.into_iter().map(|(bucket, _)| bucket).collect()
    }

    fn look_for_guarantees(&mut self) {
        let guaranteed = |quota: &Quota| quota.bytes_guaranteed.is_some();
        self.have_guarantees = self.tenants.iter().any(|(_, account)| guaranteed(&account.quota))
            || self.quotas.buckets.values().any(guaranteed);
    }

    /// The class of a bucket.
    pub(crate) fn of(&self, bucket: &BucketName) -> u8 {
        if bucket.is_retained() || self.is_single() {
            return OTHERS;
        }
        let of_tenant = || self.tenant_of(bucket).map_or(OTHERS, |place| place + 1);
        self.of_bucket.get(bucket).copied().unwrap_or_else(of_tenant)
    }

    /// Place of the tenant that a bucket counts for, if that has a quota of space.
    fn tenant_of(&self, bucket: &BucketName) -> Option<u8> {
        if self.tenants.is_empty() {
            return None;
        }
        let owner = self.quotas.owners.of(bucket.as_str())?;
        let place = self.tenants.iter().position(|(tenant, _)| *tenant == owner)?;
        u8::try_from(place).ok()
    }

    /// The class of a bucket that has a policy.
    pub(crate) fn of_policy(&self, bucket: &BucketName) -> Option<&Class> {
        self.of_bucket.get(bucket).map(|class| self.get(*class))
    }

    /// Buckets with a policy, by name.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (&BucketName, &Class)> {
        self.of_bucket.iter().map(|(name, class)| (name, self.get(*class)))
    }

    /// Number of the owner of a class, whose objects teach the eviction policy together and by themselves: of a tenant
    /// with a quota of space, else of a bucket with one, else of all others.
    pub(crate) fn owner(&self, class: u8) -> u8 {
        self.get(class).owner
    }

    /// The owner that a class has if its number is given now.
    fn due_owner(&self, class: u8) -> u8 {
        let Class { account, tenant, .. } = self.get(class);
        match tenant {
            // The class of its buckets without a policy has this number.
            Some(place) => place + 1,
            None if account.quota.is_of_space() => class,
            None => OTHERS,
        }
    }

    pub(crate) fn get(&self, class: u8) -> &Class {
        &self.classes[usize::from(class)]
    }

    pub(crate) fn get_mut(&mut self, class: u8) -> &mut Class {
        &mut self.classes[usize::from(class)]
    }

    /// Numbers that classes have or had.
    pub(crate) fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there never was a policy.
    pub(crate) fn is_single(&self) -> bool {
        self.classes.len() == 1
    }

    /// Gives a bucket a policy. Returns false if there are too many, or if too many of those that are
    /// gone still have objects.
    pub(crate) fn set(&mut self, bucket: &BucketName, policy: BucketPolicy) -> bool {
        let known = self.of_bucket.get(bucket).copied();
        let Some(number) = known.or_else(|| self.vacancy()) else { return false };
        self.of_bucket.insert(bucket.clone(), number);
        let tenant = self.tenant_of(bucket);
        let quota = self.quotas.buckets.get(bucket).copied().unwrap_or_default();
        let class = self.get_mut(number);
        (class.tenant, class.account.quota) = (tenant, quota);
        let before = class.policy.ttl.is_some();
        let after = policy.ttl.is_some();
        class.policy = policy;
        self.with_ttl = self.with_ttl + usize::from(after) - usize::from(before);
        if known.is_none() {
            self.get_mut(number).owner = self.due_owner(number);
        }
        true
    }

    /// Takes a bucket's policy away. Its objects keep their class until they were given another one, and
    /// live on. Returns false if it has none. A bucket with a quota keeps its class.
    pub(crate) fn remove(&mut self, bucket: &BucketName) -> bool {
        if self.quotas.buckets.contains_key(bucket) && self.of_bucket.contains_key(bucket) {
            return self.set(bucket, BucketPolicy::default());
        }
        let Some(class) = self.of_bucket.remove(bucket) else { return false };
        let class = self.get_mut(class);
        let had_ttl = class.policy.ttl.take().is_some();
        self.with_ttl -= usize::from(had_ttl);
        true
    }

    /// A number that no bucket and no object has.
    fn vacancy(&mut self) -> Option<u8> {
        let is_free = |class: &u8| {
            let known = self.classes.get(usize::from(*class));
            let is_taken = self.of_bucket.values().any(|taken| taken == class);
            !is_taken && known.is_none_or(|class| class.account.held.objects == 0)
        };
        let first = 1 + self.tenants.len();
        let class = (first as u8..(first + BUCKET_POLICIES_MAX) as u8).find(is_free)?;
        let place = usize::from(class);
        if place == self.classes.len() {
            self.classes.push(Class::default());
        }
        self.classes[place] = Class::default();
        Some(class)
    }

    /// The class that gives room next, of those that are not exhausted.
    pub(crate) fn next(&self, exhausted: Exhausted) -> Option<u8> {
        let numbers = (0..self.classes.len() as u8).filter(|class| !exhausted.has(*class));
        numbers.min_by(|one, other| {
            let (a, b) = (self.get(*one), self.get(*other));
            // Space for the weight, without a division: weights and units are far below 2^32.
            let over = |class: &Class, other: &Class| {
                self.excess(class).saturating_mul(u64::from(other.policy.weight))
            };
            let order = a.policy.priority.cmp(&b.policy.priority);
            order.then(Reverse(over(a, b)).cmp(&Reverse(over(b, a))))
        })
    }

    /// Counts the space of an object that enters the order. The daemon's own are no bucket's.
    pub(crate) fn add_taken(&mut self, object: &Object) {
        let amount = Amount::of_client(object);
        self.change(object.class, |account| account.taken.add(amount));
    }

    /// Counts the space of an object that is chosen for eviction, or leaves otherwise.
    pub(crate) fn subtract_taken(&mut self, object: &Object) {
        let amount = Amount::of_client(object);
        self.change(object.class, |account| account.taken.subtract(amount));
    }

    /// Time to live of a class.
    pub(crate) fn ttl(&self, class: u8) -> Option<Duration> {
        if self.with_ttl == 0 { None } else { self.get(class).policy.ttl }
    }

    /// Whether any object may have a time to live.
    pub(crate) const fn have_ttl(&self) -> bool {
        self.with_ttl > 0
    }

    /// Whether the time to live of an object is over.
    pub(crate) fn is_expired(&self, object: &Object, now: Timestamp) -> bool {
        self.ttl(object.class).is_some_and(|ttl| object.created.after(ttl) <= now)
    }

    /// Whether a further pinned object of this size keeps within these bounds.
    pub(crate) const fn may_pin(&self, units: u32, max: Pinned) -> bool {
        self.pinned.objects < max.objects && self.pinned.units + units as u64 <= max.units
    }

    /// Counts an object as pinned.
    pub(crate) fn pin(&mut self, class: u8, units: u32) {
        for pinned in [&mut self.pinned, &mut self.classes[usize::from(class)].pinned] {
            pinned.objects += 1;
            pinned.units += u64::from(units);
        }
    }

    /// Counts an object as pinned no longer.
    pub(crate) fn unpin(&mut self, class: u8, units: u32) {
        for pinned in [&mut self.pinned, &mut self.classes[usize::from(class)].pinned] {
            pinned.objects -= 1;
            pinned.units -= u64::from(units);
        }
    }

    /// Asserts that sums over classes agree, and that a class has one bucket.
    pub(crate) fn check(&self) {
        let sum = self.classes.iter().fold(Pinned::default(), |sum, class| Pinned {
            objects: sum.objects + class.pinned.objects,
            units: sum.units + class.pinned.units,
        });
        assert_eq!(sum, self.pinned, "pinned objects are counted");
        let ttls = self.classes.iter().filter(|class| class.policy.ttl.is_some()).count();
        assert_eq!(ttls, self.with_ttl, "times to live are counted");
        let mut numbers: Vec<_> = self.of_bucket.values().collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), self.of_bucket.len(), "no two buckets share a class");
        assert!(!numbers.contains(&&OTHERS), "the first class is that of the others");
        for (place, (_, account)) in self.tenants.iter().enumerate() {
            let own = || self.classes.iter().filter(|c| c.tenant.map(usize::from) == Some(place));
            let sum = |of: fn(&Account) -> u64| own().map(|class| of(&class.account)).sum::<u64>();
            assert_eq!(
                account.held.units,
                sum(|a| a.held.units),
                "a tenant has what its buckets have"
            );
            assert_eq!(account.held.objects, sum(|a| a.held.objects), "objects as well");
            assert_eq!(
                account.evictable.units,
                sum(|a| a.evictable.units),
                "the evictable as well"
            );
            assert_eq!(account.evictable.objects, sum(|a| a.evictable.objects));
            let units = (account.sealed.units, account.taken.units);
            assert_eq!(units, (sum(|a| a.sealed.units), sum(|a| a.taken.units)));
        }
    }
}

#[cfg(test)]
mod tests {
    use kvlease_types::ByteSize;

    use super::*;
    use crate::BucketOwners;

    fn bucket(name: &str) -> BucketName {
        BucketName::new(name).unwrap()
    }

    /// Classes with these priorities, weights and spaces taken, behind the first, which takes none.
    fn classes(of: &[(i32, u32, u64)]) -> Classes {
        let mut classes = Classes::new(&QuotaConfig::default());
        for (number, (priority, weight, taken)) in of.iter().enumerate() {
            let policy =
                BucketPolicy { priority: *priority, weight: *weight, ..BucketPolicy::default() };
            assert!(classes.set(&bucket(&number.to_string()), policy));
            classes.get_mut(number as u8 + 1).account.taken.units = *taken;
        }
        classes
    }

    fn order(classes: &Classes) -> Vec<u8> {
        let mut exhausted = Exhausted::default();
        let next = || {
            let class = classes.next(exhausted)?;
            exhausted.add(class);
            Some(class)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_lower_priority_gives_room_first_then_what_takes_the_most_for_its_weight() {
        // The first class has priority 0 and takes none.
        assert_eq!(order(&classes(&[(1, 1, 1000), (-1, 9000, 1)])), [2, 0, 1]);
        assert_eq!(order(&classes(&[(0, 100, 10), (0, 200, 30), (0, 1, 0)])), [2, 1, 0, 3]);
        assert_eq!(order(&classes(&[(0, 100, 10), (0, 200, 20)])), [1, 2, 0], "equal ones");
        let largest = (0, 10_000, u64::from(u32::MAX));
        assert_eq!(order(&classes(&[largest, (0, 1, u64::from(u32::MAX))])), [2, 1, 0]);
    }

    #[test]
    fn a_class_gives_room_by_what_it_takes_beyond_its_guarantee_and_none_within() {
        let guaranteed =
            |units: u64| Some(kvlease_types::ByteSize::new(units * crate::config::UNIT.bytes()));
        let quota = Quota { bytes_guaranteed: guaranteed(10), ..Quota::default() };
        let quotas =
            QuotaConfig { buckets: [(bucket("a"), quota)].into(), ..QuotaConfig::default() };
        let mut classes = Classes::new(&quotas);
        let own = classes.of(&bucket("a"));
        for (taken, others, first, is_guarded) in
            [(12, 5, OTHERS, false), (20, 5, own, false), (10, 5, OTHERS, true)]
        {
            classes.get_mut(own).account.taken.units = taken;
            classes.get_mut(OTHERS).account.taken.units = others;
            assert_eq!(order(&classes)[0], first, "{taken}");
            for favoured in [None, Some(OTHERS)] {
                assert_eq!(classes.is_guarded(own, favoured), is_guarded, "{taken}");
            }
            assert!(!classes.is_guarded(own, Some(own)) && !classes.is_guarded(OTHERS, None));
        }
        assert!(classes.remove(&bucket("a")), "its policy goes");
        assert_eq!(classes.of(&bucket("a")), own, "its quota stays");
    }

    #[test]
    fn classes_of_a_tenant_or_of_a_bucket_with_a_quota_of_space_have_one_owner() {
        let size = |quota: &mut Quota| quota.bytes_max = Some(ByteSize::mib(1));
        let quota = |change: &dyn Fn(&mut Quota)| {
            let mut quota = Quota::default();
            change(&mut quota);
            quota
        };
        let rate = quota(&|quota| quota.requests_per_s = Some(1));
        let quotas = QuotaConfig {
            buckets: [
                (bucket("a-limited"), quota(&size)),
                (bucket("limited"), quota(&size)),
                (bucket("slow"), rate),
            ]
            .into(),
            tenants: vec![rate, quota(&size)],
            owners: BucketOwners::new(|name| {
                let place = usize::from(name.starts_with('a'));
                TenantId::at(place)
            }),
        };
        let mut classes = Classes::new(&quotas);
        for name in ["a-policy", "policy"] {
            assert!(classes.set(&bucket(name), BucketPolicy::default()));
        }
        let owner = |name: &str| classes.owner(classes.of(&bucket(name)));
        let tenant = owner("a");
        assert_eq!([owner("a-limited"), owner("a-policy")], [tenant; 2]);
        assert_eq!(["b", "slow", "policy"].map(owner), [OTHERS; 3]);
        assert!(![OTHERS, tenant].contains(&owner("limited")));
    }

    #[test]
    fn a_number_is_given_again_once_no_object_has_it() {
        let mut classes = Classes::new(&QuotaConfig::default());
        let with_ttl =
            BucketPolicy { ttl: Some(Duration::from_secs(1)), ..BucketPolicy::default() };
        for number in 0..BUCKET_POLICIES_MAX {
            assert!(classes.set(&bucket(&number.to_string()), with_ttl.clone()));
        }
        assert!(!classes.set(&bucket("x"), BucketPolicy::default()), "there are too many");
        assert!(classes.set(&bucket("0"), BucketPolicy::default()), "it has one");
        let seventh = classes.of(&bucket("7"));
        classes.get_mut(seventh).account.held.objects = 1;
        assert!(classes.remove(&bucket("7")) && !classes.remove(&bucket("7")));
        classes.check();
        assert_eq!((classes.of(&bucket("7")), classes.ttl(seventh)), (0, None));
        assert!(!classes.set(&bucket("x"), BucketPolicy::default()), "its object is there");
        classes.get_mut(seventh).account.held.objects = 0;
        assert!(classes.set(&bucket("x"), BucketPolicy::default()));
        assert_eq!(classes.of(&bucket("x")), seventh);
        classes.check();
    }
}
