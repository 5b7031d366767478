//! One tenant, and what it may do.

use super::needs::{Need, Right};
use crate::config::{BucketGlob, TenantConfig};

/// A tenant.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    /// Place of its arena among all; the first is that of `[cache]`.
    pub(crate) arena: usize,
    pub(super) config: TenantConfig,
}

/// Decision on a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// It is answered.
    Allowed,
    /// It is answered as if the bucket had no object, so that it tells nothing of what is there.
    Hidden,
    /// It is refused. The text names the setting that would allow it.
    Forbidden(String),
}

impl Tenant {
    /// Refuses it at an arena that is another tenant's, whatever its rights are.
    pub(crate) fn refused_elsewhere(&self) -> String {
        let text = "this socket is that of another arena: connect to the one that answers over HTTP name, \
            or set arena of the tenant";
        format!("{text}, tenant=`{}`", self.name)
    }

    /// Decides on a request that needs this, and names this bucket.
    pub(crate) fn decide(&self, need: Need, bucket: Option<&str>) -> Decision {
        let bucket = bucket.unwrap_or_default();
        match need {
            Need::Nothing | Need::Tenant => Decision::Allowed,
            Need::On(right) => self.decide_on(right, bucket),
            Need::Lease if self.maps() => self.decide_on(Right::Read, bucket),
            Need::Lease => self.forbidden(&format!(
                "may not map the arena, and a lease is of no use without: read the object with a GET, \
                 or set {}",
                self.what_would_map()
            )),
            Need::Mapping if self.maps() => Decision::Allowed,
            Need::Mapping => self.forbidden(&format!(
                "may not map the arena, which has objects that it may not read: use HTTP, or set {}",
                self.what_would_map()
            )),
            Need::Everything if self.reads_all() => Decision::Allowed,
            Need::Everything if self.is_bound() => self.forbidden(
                "may not read objects of all cache salts: leave cache_salts out, or do without",
            ),
            Need::Everything => {
                self.forbidden("may not read every bucket: set read = [\"*\"], or do without")
            }
            Need::SomeBucket if !self.config.write.is_empty() => Decision::Allowed,
            Need::SomeBucket => {
                self.forbidden("may store into no bucket: set write, such as [\"*\"]")
            }
            Need::Admin if self.config.admin => Decision::Allowed,
            Need::Admin => {
                self.forbidden("may not do what operators do: set admin = true, or ask as another one")
            }
        }
    }

    fn decide_on(&self, right: Right, bucket: &str) -> Decision {
        if self.may(right, bucket) {
            return Decision::Allowed;
        }
        // Who may read the objects learns nothing from a refusal. A write is refused whatever is there.
        if right == Right::Write || self.may(Right::Read, bucket) {
            let text = format!(
                "may not {} in this bucket: add a pattern of it to {}, bucket=`{bucket}`",
                right.verb(),
                right.name()
            );
            return self.forbidden(&text);
        }
        Decision::Hidden
    }

    /// Decides on a question for the place of an object, in a bucket that keeps it from readers.
    pub(crate) fn decide_on_place(&self, bucket: &str) -> Decision {
        if self.config.admin {
            return Decision::Allowed;
        }
        let text = format!(
            "may not learn where objects of this bucket are, since it has answer_time_ms: set admin = true, \
             or leave answer_time_ms out, bucket=`{bucket}`"
        );
        self.forbidden(&text)
    }

    /// Whether it has a right on a bucket.
    pub(crate) fn may(&self, right: Right, bucket: &str) -> bool {
        self.globs(right).iter().any(|glob| glob.matches(bucket))
    }

    /// Whether it may map the arena for reading.
    fn maps(&self) -> bool {
        self.config.shares_arena || self.reads_all()
    }

    /// Whether it may read every object.
    fn reads_all(&self) -> bool {
        has_all(&self.config.read) && !self.is_bound()
    }

    /// Whether it may map the arena for writing, which reaches every object.
    pub(crate) fn maps_writable(&self) -> bool {
        let Self { config, .. } = self;
        has_all(&config.write) && !self.is_bound()
            || config.shares_arena && !config.write.is_empty()
    }

    /// Settings that would let it map the arena.
    fn what_would_map(&self) -> &'static str {
        if self.is_bound() {
            "shares_arena = true"
        } else {
            "read = [\"*\"] or shares_arena = true"
        }
    }

    fn globs(&self, right: Right) -> &[BucketGlob] {
        match right {
            Right::Read => &self.config.read,
            Right::Write => &self.config.write,
            Right::Remove => &self.config.remove,
            Right::List => &self.config.list,
        }
    }

    pub(super) fn forbidden(&self, what: &str) -> Decision {
        Decision::Forbidden(format!("this tenant {what}, tenant=`{}`", self.name))
    }
}

impl Right {
    const fn verb(self) -> &'static str {
        match self {
            Self::Read => "read objects",
            Self::Write => "store objects",
            Self::Remove => "remove objects",
            Self::List => "list objects",
        }
    }
}

fn has_all(globs: &[BucketGlob]) -> bool {
    globs.iter().any(BucketGlob::is_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(change: impl FnOnce(&mut TenantConfig)) -> Tenant {
        let mut config = TenantConfig::default();
        change(&mut config);
        Tenant { name: "t".to_owned(), arena: 0, config }
    }

    fn globs(patterns: &[&str]) -> Vec<BucketGlob> {
        patterns.iter().map(|pattern| BucketGlob::parse(pattern).unwrap()).collect()
    }

    #[test]
    fn a_foreign_bucket_is_hidden_and_what_one_may_read_is_forbidden() {
        let reader = tenant(|config| config.read = globs(&["own", "own-*"]));
        for (right, own, foreign) in [
            (Right::Read, "allowed", "hidden"),
            (Right::Write, "forbidden", "forbidden"),
            (Right::Remove, "forbidden", "hidden"),
            (Right::List, "forbidden", "hidden"),
        ] {
            for (bucket, expected) in [("own", own), ("own-1", own), ("other", foreign)] {
                let found = match reader.decide(Need::On(right), Some(bucket)) {
                    Decision::Allowed => "allowed",
                    Decision::Hidden => "hidden",
                    Decision::Forbidden(text) => {
                        let parts = [right.name(), "tenant=`t`", bucket];
                        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
                        "forbidden"
                    }
                };
                assert_eq!(found, expected, "{right:?} {bucket}");
            }
        }
        let cleaner = tenant(|config| config.remove = globs(&["own"]));
        assert_eq!(cleaner.decide(Need::On(Right::Remove), Some("own")), Decision::Allowed);
        assert_eq!(cleaner.decide(Need::On(Right::Read), Some("own")), Decision::Hidden);
    }

    #[test]
    fn the_arena_is_mapped_by_who_may_read_all_of_it_or_shares_it_knowingly() {
        let all = tenant(|config| config.read = globs(&["a", "*"]));
        let some = tenant(|config| (config.read, config.write) = (globs(&["a*"]), globs(&["a*"])));
        let sharing = tenant(|config| {
            (config.read, config.write) = (globs(&["a"]), globs(&["a"]));
            config.shares_arena = true;
        });
        let writing = tenant(|config| (config.read, config.write) = (globs(&["*"]), globs(&["*"])));
        for (tenant, maps, maps_writable) in [
            (&all, true, false),
            (&some, false, false),
            (&sharing, true, true),
            (&writing, true, true),
        ] {
            let allowed = tenant.decide(Need::Mapping, None) == Decision::Allowed;
            assert_eq!((allowed, tenant.maps_writable()), (maps, maps_writable));
            let leases = tenant.decide(Need::Lease, Some("a")) == Decision::Allowed;
            assert_eq!(leases, maps);
        }
        let bound = tenant(|config| {
            let salts = globs(&["red"]);
            (config.read, config.write, config.cache_salts) = (globs(&["*"]), globs(&["*"]), salts);
        });
        assert!(!bound.maps_writable(), "an arena has objects of all cache salts");
        for need in [Need::Mapping, Need::Lease, Need::Everything] {
            let Decision::Forbidden(text) = bound.decide(need, Some("a")) else {
                panic!("{need:?}")
            };
            assert!(!text.contains("read = "), "that would not do: {text}");
        }
        assert_eq!(sharing.decide(Need::Lease, Some("b")), Decision::Hidden);
        assert!(matches!(sharing.decide(Need::Everything, None), Decision::Forbidden(_)));
        assert_eq!(all.decide(Need::Everything, None), Decision::Allowed);
        assert!(matches!(all.decide(Need::SomeBucket, None), Decision::Forbidden(_)));
        assert!(matches!(all.decide(Need::Admin, None), Decision::Forbidden(_)));
    }
}
