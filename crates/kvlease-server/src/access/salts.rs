//! Rules on the cache salts of keys: those that a tenant is bound to, and buckets and tenants that need one.
//!
//! The key alone decides, and not what is there, so a refusal tells nothing of objects.

use kvlease_types::CacheSalt;

use super::{
    needs::Right,
    tenant::{Decision, Tenant},
};
use crate::config::Config;

/// Way to a key with a salt, as refusals name it.
const REMEDY: &str =
    "use LMCache's multi-process server, and send cache_salt with each request to the engine";

/// Rules on the keys of one bucket, for one caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyRules<'a> {
    tenant: Option<&'a Tenant>,
    /// The bucket, if keys of LMCache need a salt in it.
    salted: Option<&'a str>,
}

impl<'a> KeyRules<'a> {
    /// The rules that hold; `None` if every key may be named.
    pub(crate) fn of(
        config: &Config,
        tenant: Option<&'a Tenant>,
        bucket: Option<&'a str>,
    ) -> Option<Self> {
        let tenant = tenant.filter(|tenant| tenant.has_key_rules());
        let salted = bucket.filter(|bucket| config.salted_buckets.contains(*bucket));
        (tenant.is_some() || salted.is_some()).then_some(Self { tenant, salted })
    }

    /// Decides whether a right on the bucket is one on the object of this key.
    pub(crate) fn decide(&self, right: Right, key: &str) -> Decision {
        let salt = CacheSalt::of(key);
        let of_tenant =
            self.tenant.map_or(Decision::Allowed, |tenant| tenant.decide_on_salt(right, salt));
        match self.salted {
            Some(bucket) if of_tenant == Decision::Allowed && salt == CacheSalt::Missing => {
                Decision::Forbidden(format!(
                    "keys of LMCache need a cache salt in this bucket: {REMEDY}, or leave \
                     cache_salt_required of the bucket out, bucket=`{bucket}`"
                ))
            }
            _ => of_tenant,
        }
    }
}

impl Tenant {
    /// Whether there are keys that it may not name in any bucket.
    fn has_key_rules(&self) -> bool {
        self.is_bound() || self.config.cache_salt_required
    }

    /// Whether it may name keys with some cache salts alone.
    pub(super) fn is_bound(&self) -> bool {
        !self.config.cache_salts.is_empty()
    }

    fn decide_on_salt(&self, right: Right, salt: CacheSalt<'_>) -> Decision {
        match salt {
            CacheSalt::Given(salt) => {
                let mut salts = self.config.cache_salts.iter();
                if !self.is_bound() || salts.any(|glob| glob.matches(salt)) {
                    Decision::Allowed
                } else if right == Right::Write {
                    self.forbidden(
                        "may not store objects with this cache salt: add a pattern of it to cache_salts",
                    )
                } else {
                    Decision::Hidden
                }
            }
            _ if self.is_bound() => self.forbidden(&format!(
                "may name keys with its cache salts alone, and this key has none: {REMEDY}, or leave \
                 cache_salts out"
            )),
            CacheSalt::Missing => self.forbidden(&format!(
                "needs a cache salt in keys of LMCache: {REMEDY}, or leave cache_salt_required out"
            )),
            CacheSalt::Other => Decision::Allowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BucketGlob, TenantConfig};

    const SALTED: &str = "m@01000000@0@ab@team-red";
    const OTHER_SALT: &str = "m@01000000@0@ab@blue";
    const UNSALTED: &str = "m@01000000@0@ab";
    const IN_PROCESS: &str = "m@1@0@ab@half";
    const PLAIN: &str = "some/key";

    /// First letters of the decisions on reading, writing and removing the object of a key.
    fn decided(tenant: Option<&TenantConfig>, bucket: &str, key: &str) -> String {
        let mut config = Config::default();
        config.salted_buckets.insert("salted".to_owned());
        let tenant =
            tenant.map(|config| Tenant { name: "t".to_owned(), arena: 0, config: config.clone() });
        let rules = KeyRules::of(&config, tenant.as_ref(), Some(bucket));
        let letter = |right| match rules.map(|rules| rules.decide(right, key)) {
            None | Some(Decision::Allowed) => 'a',
            Some(Decision::Hidden) => 'h',
            Some(Decision::Forbidden(text)) => {
                let who = if bucket == "salted" { "bucket=`salted`" } else { "tenant=`t`" };
                assert!(text.contains("cache_salt") && text.contains(who), "{text}");
                assert!(!text.contains(key), "no key is told: {text}");
                'f'
            }
        };
        [Right::Read, Right::Write, Right::Remove].map(letter).iter().collect()
    }

    #[test]
    fn the_salt_of_a_key_decides_for_whom_it_is() {
        let salts = vec![BucketGlob::parse("team-*").unwrap(), BucketGlob::parse("x").unwrap()];
        let bound = TenantConfig { cache_salts: salts, ..TenantConfig::default() };
        let needing = TenantConfig { cache_salt_required: true, ..TenantConfig::default() };
        let free = TenantConfig::default();
        let keys = [SALTED, OTHER_SALT, UNSALTED, IN_PROCESS, PLAIN];
        for (tenant, bucket, expected) in [
            (None, "b", ["aaa", "aaa", "aaa", "aaa", "aaa"]),
            (Some(&free), "b", ["aaa", "aaa", "aaa", "aaa", "aaa"]),
            (Some(&bound), "b", ["aaa", "hfh", "fff", "fff", "fff"]),
            (Some(&needing), "b", ["aaa", "aaa", "fff", "fff", "aaa"]),
            (None, "salted", ["aaa", "aaa", "fff", "fff", "aaa"]),
            (Some(&free), "salted", ["aaa", "aaa", "fff", "fff", "aaa"]),
        ] {
            assert_eq!(
                keys.map(|key| decided(tenant, bucket, key)),
                expected,
                "{tenant:?} {bucket}"
            );
        }
    }

    #[test]
    fn without_a_rule_no_key_is_looked_at() {
        let config = Config::default();
        assert!(KeyRules::of(&config, None, Some("b")).is_none());
        let tenant = Tenant { name: "t".to_owned(), arena: 0, config: TenantConfig::default() };
        assert!(KeyRules::of(&config, Some(&tenant), Some("b")).is_none());
    }
}
