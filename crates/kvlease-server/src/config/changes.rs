//! Changes between the configuration that holds and one that is read while the daemon runs: the quotas, which hold at once,
//! and all else, which holds from the next start on.

use std::collections::BTreeMap;

use kvlease_types::{BUCKET_WEIGHT_DEFAULT, ByteSize, Quota};

use super::{
    arenas, buckets,
    error::ConfigError,
    listeners,
    print::print,
    quotas::{self, check_capacity},
    settings::Config,
    tenants,
};

/// Keys of quotas of space.
const OF_SPACE: [&str; 3] = ["bytes_max", "bytes_guaranteed", "objects_max"];

/// Changes of a configuration.
#[derive(PartialEq, Debug)]
pub(crate) struct Changes {
    /// The configuration from now on: the one that held, with the new quotas.
    pub(crate) config: Config,
    /// Quotas that change, each as `KEY=VALUE`; without a value where none is set any more.
    pub(crate) made: Vec<String>,
    /// Keys of settings that are other than at the start, and need one.
    pub(crate) left: Vec<String>,
}

impl Changes {
    /// Changes of the configuration that holds by the next one, where the start had `first`.
    ///
    /// # Errors
    ///
    /// Quotas that contradict each other in the configuration that would come of it.
    pub(crate) fn between(
        first: &Config,
        held: &Config,
        next: &Config,
    ) -> Result<Self, ConfigError> {
        let mut config = held.clone();
        for (name, tenant) in &mut config.tenants {
            let Some(next) = next.tenants.get(name) else { continue };
            let is_counted = first.tenants.get(name).is_some_and(|one| one.quota.is_of_space());
            tenant.quota = match is_counted {
                true => next.quota,
                // What it stored was not counted.
                false => Quota {
                    bytes_max: None,
                    bytes_guaranteed: None,
                    objects_max: None,
                    ..next.quota
                },
            };
            tenant.connections_max = next.connections_max;
        }
        config.bucket_quotas.clone_from(&next.bucket_quotas);
        quotas::check(&config)?;
        let (before, after) = (quotas_of(held), quotas_of(&config));
        let paths = before.keys().chain(after.keys().filter(|path| !before.contains_key(*path)));
        let changed = paths.filter(|path| before.get(*path) != after.get(*path));
        let made = changed.map(|path| {
            let value = after.get(path).cloned().unwrap_or_default();
            format!("{path}={value}")
        });
        Ok(Self { made: made.collect(), left: left(first, next), config })
    }

    /// Checks that the guarantees fit into an arena of this capacity.
    pub(crate) fn check(&self, arena: &str, capacity: ByteSize) -> Result<(), ConfigError> {
        check_capacity(&self.config, arena, capacity)
    }
}

/// Quotas by the paths of their keys.
fn quotas_of(config: &Config) -> BTreeMap<String, String> {
    let tenants = config.tenants.iter().flat_map(|(name, tenant)| {
        tenant.limits().map(move |(key, value)| (tenants::SECTION, name.as_str(), key, value))
    });
    let buckets = config.bucket_quotas.iter().flat_map(|(name, quota)| {
        quota.entries().map(move |(key, value)| (buckets::SECTION, name.as_str(), key, value))
    });
    let all = tenants.chain(buckets);
    all.map(|(section, name, key, value)| (format!("{section}.{name}.{key}"), value.to_string()))
        .collect()
}

/// Keys whose values are others than at the start, of settings that need one: all but those of quotas, and of a tenant,
/// a listener or an arena that is new or gone its section. Values may be secrets, and are not told.
fn left(first: &Config, next: &Config) -> Vec<String> {
    let (before, after) = (settings_of(first), settings_of(next));
    let paths = before.keys().chain(after.keys().filter(|path| !before.contains_key(*path)));
    let changed = paths.filter(|path| before.get(*path) != after.get(*path));
    let mut left: Vec<String> = changed.filter_map(|path| needs_start(first, next, path)).collect();
    for (name, tenant) in &next.tenants {
        let known = first.tenants.get(name).map(|known| &known.token_sha256);
        if known.is_some_and(|known| *known != tenant.token_sha256) {
            left.push(format!("{}.{name}.token_sha256", tenants::SECTION));
        }
    }
    left.sort();
    left.dedup();
    left
}

/// The name by which a setting that changed is told; `None` for one that holds at once.
fn needs_start(first: &Config, next: &Config, path: &[String]) -> Option<String> {
    let told = path.join(".");
    let [section, name, key] = path else { return Some(told) };
    if [first, next].into_iter().any(|config| !has_section(config, section, name)) {
        return Some(format!("{section}.{name}"));
    }
    if let (tenants::SECTION, Some(known)) = (section.as_str(), first.tenants.get(name)) {
        let is_live = key == tenants::CONNECTIONS || Quota::KEYS.contains(&key.as_str());
        let is_counted = known.quota.is_of_space() || !OF_SPACE.contains(&key.as_str());
        return (!is_live || !is_counted).then_some(told);
    }
    let is_live = section == buckets::SECTION && Quota::KEYS.contains(&key.as_str());
    (!is_live).then_some(told)
}

/// Whether a configuration has a section: of those that are more than the sum of their keys.
fn has_section(config: &Config, section: &str, name: &str) -> bool {
    match section {
        tenants::SECTION => config.tenants.contains_key(name),
        listeners::SECTION => config.listeners.contains_key(name),
        arenas::SECTION => config.arenas.contains_key(name),
        _ => true,
    }
}

/// All settings that are printed, by the parts of their paths.
fn settings_of(config: &Config) -> BTreeMap<Vec<String>, toml::Value> {
    let printed: toml::Table = print(config).parse().expect("what is printed is a file");
    let mut settings = BTreeMap::new();
    let mut tables = vec![(Vec::new(), printed)];
    while let Some((path, table)) = tables.pop() {
        for (key, value) in table {
            let path = [path.as_slice(), &[key]].concat();
            match value {
                toml::Value::Table(table) => tables.push((path, table)),
                value => drop(settings.insert(path, value)),
            }
        }
    }
    settings.retain(|path: &Vec<String>, value: &mut toml::Value| !is_usual(path, value));
    settings
}

/// Whether a key of a bucket's policy has the value of one that is left out: a bucket that has a quota alone is
/// printed with a policy that says nothing.
fn is_usual(path: &[String], value: &toml::Value) -> bool {
    let [section, _, key] = path else { return false };
    section == buckets::SECTION
        && match key.as_str() {
            "priority" => value.as_integer() == Some(0),
            "weight" => value.as_integer() == Some(BUCKET_WEIGHT_DEFAULT.into()),
            "pinned" => value.as_array().is_some_and(Vec::is_empty),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FIRST_ARENA, ServeArgs, load};

    const FIRST: [&str; 8] = [
        "cache.capacity=8GiB",
        "tenant.a.uids=1",
        "tenant.a.write=*",
        "tenant.a.bytes_max=2GiB",
        "tenant.b.uids=2",
        "tenant.b.read=*",
        "bucket.x.priority=3",
        "bucket.x.objects_max=7",
    ];

    fn config(set: &[&str]) -> Config {
        let set = set.iter().map(ToString::to_string).collect();
        load(&ServeArgs { set, ..ServeArgs::default() }, []).unwrap()
    }

    fn next(more: &[&str]) -> Config {
        config(&[&FIRST[..], more].concat())
    }

    /// Changes from the start to this configuration.
    fn changes(next: &Config) -> Changes {
        let first = config(&FIRST);
        Changes::between(&first, &first, next).unwrap()
    }

    #[test]
    fn without_a_change_there_is_none() {
        let found = changes(&next(&[]));
        assert_eq!((found.made, found.left), (vec![], vec![]));
    }

    #[test]
    fn quotas_change_at_once_and_are_told_with_their_values() {
        let found = changes(&next(&[
            "tenant.a.bytes_max=3GiB",
            "tenant.a.connections_max=5",
            "tenant.b.requests_per_s=9",
            "tenant.b.leases_max=4",
            "bucket.x.bytes_max=1GiB",
            "bucket.new.objects_max=5",
        ]));
        assert_eq!(found.left, Vec::<String>::new());
        assert_eq!(
            found.made,
            [
                "tenant.a.bytes_max=3GiB",
                "bucket.new.objects_max=5",
                "bucket.x.bytes_max=1GiB",
                "tenant.a.connections_max=5",
                "tenant.b.leases_max=4",
                "tenant.b.requests_per_s=9",
            ]
        );
        assert_eq!(found.config.tenants["a"].quota.bytes_max, Some(ByteSize::gib(3)));
        assert_eq!(found.config.tenants["b"].quota.leases_max, Some(4));
        assert_eq!(found.config.bucket_quotas.len(), 2);
        // The next time they are what holds.
        let again = Changes::between(&config(&FIRST), &found.config, &found.config).unwrap();
        assert_eq!(again.made, Vec::<String>::new());
    }

    #[test]
    fn a_quota_that_is_left_out_is_none_any_more() {
        let without: Vec<_> = FIRST.into_iter().filter(|set| !set.contains("_max")).collect();
        let found = changes(&config(&without));
        assert_eq!(found.made, ["bucket.x.objects_max=", "tenant.a.bytes_max="]);
        assert_eq!(found.left, Vec::<String>::new());
        assert_eq!(found.config.tenants["a"].quota, Quota::default());
    }

    #[test]
    fn all_else_is_told_by_its_key_and_changes_nothing() {
        let found = changes(&next(&[
            "cache.eviction=lru",
            "bucket.x.priority=4",
            "bucket.y.weight=4",
            "bucket.z.cache_salt_required=true",
            "tenant.a.read=x",
            "tenant.b.bytes_max=1GiB",
            "tenant.b.token_sha256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "tenant.c.uids=3",
            "tenant.c.read=*",
            "listener.l.address=127.0.0.1:9201",
        ]));
        assert_eq!(found.made, Vec::<String>::new());
        assert_eq!(found.config, config(&FIRST));
        let named = [
            "bucket.x.priority",
            "bucket.y.weight",
            "bucket.z.cache_salt_required",
            "cache.eviction",
            "listener.l",
            "tenant.a.read",
            "tenant.b.bytes_max",
            "tenant.b.token_sha256",
            "tenant.c",
        ];
        assert_eq!(found.left, named);
        let gone = changes(&config(&FIRST[..4]));
        assert!(gone.left.contains(&"tenant.b".to_owned()), "{:?}", gone.left);
        assert!(gone.config.tenants.contains_key("b"), "it stays to the end");
    }

    #[test]
    fn quotas_that_contradict_each_other_are_refused() {
        let first = config(&FIRST);
        let mut next = next(&["bucket.x.bytes_guaranteed=7GiB"]);
        let found = Changes::between(&first, &first, &next).unwrap();
        assert!(found.check(FIRST_ARENA, ByteSize::gib(8)).is_ok());
        let line = found.check(FIRST_ARENA, ByteSize::gib(6)).unwrap_err().to_string();
        assert!(line.contains("bucket.x.bytes_guaranteed=`7GiB`"), "{line}");
        let tenant = next.tenants.get_mut("a").unwrap();
        tenant.quota.bytes_guaranteed = Some(ByteSize::gib(3));
        let line = Changes::between(&first, &first, &next).unwrap_err().to_string();
        assert!(line.contains("tenant.a.bytes_guaranteed=`3GiB`"), "{line}");
    }
}
