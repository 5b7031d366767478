//! Accounts of classes and tenants: whose objects may leave for whom, and what a quota refuses.

use kvlease_types::{BucketName, Quota, QuotaOf, TenantId, WriteRefused};

use super::{Class, Classes, Exhausted, Favoured};
use crate::quotas::{Account, Ahead, Amount, QuotaUses};

impl Classes {
    /// Units that a class takes beyond what it, and its tenant, are guaranteed.
    pub(super) fn excess(&self, class: &Class) -> u64 {
        let of = |account: &Account| account.taken.units.saturating_sub(account.guaranteed());
        let tenant = class.tenant.map(|place| of(&self.tenants[usize::from(place)].1));
        of(&class.account).min(tenant.unwrap_or(u64::MAX))
    }

    /// Whether any bucket or tenant is guaranteed space.
    pub(crate) const fn have_guarantees(&self) -> bool {
        self.have_guarantees
    }

    /// Whether no object of a class may be chosen in favour of another one: it, or its tenant, takes no more than
    /// is guaranteed.
    pub(crate) fn is_guarded(&self, class: u8, favoured: Favoured) -> bool {
        self.have_guarantees && self.keeps(class, favoured, |account| account.taken.units)
    }

    /// Whether no object of a class may leave in favour of another one, chosen before or not.
    pub(crate) fn is_due_to_stay(&self, class: u8, favoured: Favoured) -> bool {
        self.have_guarantees && self.keeps(class, favoured, |account| account.sealed.units)
    }

    fn keeps(&self, class: u8, favoured: Favoured, used: impl Fn(&Account) -> u64) -> bool {
        if favoured == Some(class) {
            return false;
        }
        let keeps = |account: &Account| (1..=account.guaranteed()).contains(&used(account).max(1));
        let Class { account, tenant, .. } = self.get(class);
        let other = favoured.and_then(|favoured| self.get(favoured).tenant);
        keeps(account)
            || tenant.is_some_and(|place| {
                other != Some(place) && keeps(&self.tenants[usize::from(place)].1)
            })
    }

    /// Whether some class takes more than it is guaranteed.
    pub(crate) fn can_give(&self) -> bool {
        let mut numbers = 0..self.classes.len() as u8;
        numbers
            .any(|class| self.get(class).account.taken.objects > 0 && !self.is_guarded(class, None))
    }

    /// Classes that count for the same bucket or tenant as this one, those apart that are not asked.
    pub(crate) fn all_but_own(&self, class: u8, of: QuotaOf) -> Exhausted {
        Exhausted::all_but(self.classes.len(), |other| self.shares(class, other, of))
    }

    /// Whether two classes count for the same bucket or tenant.
    pub(crate) fn shares(&self, class: u8, other: u8, of: QuotaOf) -> bool {
        match of {
            QuotaOf::Bucket => class == other,
            QuotaOf::Tenant => {
                let tenant = self.get(class).tenant;
                tenant.is_some() && tenant == self.get(other).tenant
            }
        }
    }

    /// The account of a class's bucket, or of the tenant that it counts for.
    pub(crate) fn account(&self, class: u8, of: QuotaOf) -> Option<&Account> {
        let class = self.get(class);
        match of {
            QuotaOf::Bucket => Some(&class.account),
            QuotaOf::Tenant => class.tenant.map(|place| &self.tenants[usize::from(place)].1),
        }
    }

    /// Amount that can be evicted for a write of a class, of its bucket or its tenant: no less than that.
    pub(crate) fn evictable(&self, class: u8, of: QuotaOf) -> Amount {
        let others = (0..self.classes.len() as u8).filter(|other| self.shares(class, *other, of));
        others.fold(Amount::default(), |mut sum, other| {
            let account = &self.get(other).account;
            let mut own = account.evictable;
            if other != class && account.guaranteed() > 0 {
                own.units =
                    own.units.min(account.sealed.units.saturating_sub(account.guaranteed()));
            }
            sum.add(own);
            sum
        })
    }

    /// The quota within which a class has too little room: that of its bucket, or else that of its tenant. `None` if
    /// there is none, and where no tier gets what leaves the bucket.
    pub(crate) fn short_quota(&self, class: u8, units_max: u64, ahead: Ahead) -> Option<QuotaOf> {
        if self.get(class).policy.ttl.is_some() {
            return None;
        }
        [QuotaOf::Bucket, QuotaOf::Tenant].into_iter().find(|of| {
            self.account(class, *of).is_some_and(|account| account.is_short(units_max, ahead))
        })
    }

    /// The class in whose favour something leaves that makes room within a quota of this one. For a tenant it is that
    /// of its buckets without a policy, so that what one of its buckets is guaranteed stays.
    pub(crate) fn favoured_within(&self, class: u8, of: QuotaOf) -> u8 {
        match (of, self.get(class).tenant) {
            (QuotaOf::Tenant, Some(place)) => place + 1,
            _ => class,
        }
    }

    /// The quota that more for a class would exceed, when `gone` tells what will be gone of the account.
    pub(crate) fn refusal(
        &self,
        class: u8,
        of: QuotaOf,
        more: Amount,
        gone: Amount,
    ) -> Option<WriteRefused> {
        self.account(class, of)?.refusal(of, more, gone)
    }

    /// Counts a write that was refused for a quota.
    pub(crate) fn count_refused(&mut self, class: u8, refused: WriteRefused) {
        let (of, is_bytes) = match refused {
            WriteRefused::OverBytes { of, .. } => (of, true),
            WriteRefused::OverObjects { of, .. } => (of, false),
            _ => return,
        };
        let Self { classes, tenants, .. } = self;
        let class = &mut classes[usize::from(class)];
        let account = match (of, class.tenant) {
            (QuotaOf::Tenant, Some(place)) => &mut tenants[usize::from(place)].1,
            _ => &mut class.account,
        };
        match is_bytes {
            true => account.refused.bytes += 1,
            false => account.refused.objects += 1,
        }
    }

    /// Changes the account of a class and that of its tenant.
    pub(crate) fn change(&mut self, class: u8, change: impl Fn(&mut Account)) {
        let Self { classes, tenants, .. } = self;
        let class = &mut classes[usize::from(class)];
        change(&mut class.account);
        if let Some(place) = class.tenant {
            change(&mut tenants[usize::from(place)].1);
        }
    }

    /// Uses of buckets and tenants with a quota, without the leases of tenants.
    pub(crate) fn quota_uses(&self) -> QuotaUses {
        let of_bucket = |(bucket, class): (&BucketName, &u8)| {
            let account = &self.get(*class).account;
            (!account.quota.is_empty()).then(|| (bucket.clone(), account.usage()))
        };
        let tenants = self.quotas.tenants.iter().enumerate();
        let of_tenant = |(place, quota): (usize, &Quota)| {
            let tenant = TenantId::at(place).filter(|_| !quota.is_empty())?;
            let known = self.tenants.iter().find(|(known, _)| *known == tenant);
            let usage = known.map_or_else(|| Account::new(*quota).usage(), |(_, a)| a.usage());
            Some((tenant, usage))
        };
        QuotaUses {
            buckets: self.of_bucket.iter().filter_map(of_bucket).collect(),
            tenants: tenants.filter_map(of_tenant).collect(),
        }
    }
}
