//! Quotas of tenants and buckets: what they say together, and which tenant a bucket counts for.

use std::{cmp::Reverse, collections::BTreeMap, iter};

use kvlease_cache::{BucketOwners, QuotaConfig, SPACE_QUOTAS_MAX};
use kvlease_types::{ByteSize, Quota, TenantId};

use super::{
    arenas::FIRST_ARENA,
    bucket_glob::BucketGlob,
    buckets,
    error::ConfigError,
    settings::Config,
    tenants::{self, TenantConfig},
};

/// Where quotas that contradict each other come from.
const ORIGIN: &str = "all sources together";

/// Checks what quotas say together. With a capacity that is configured, that they fit into it.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    for (path, quota) in all(config) {
        let Quota { bytes_max: Some(most), bytes_guaranteed: Some(guaranteed), .. } = quota else {
            continue;
        };
        if guaranteed > most {
            let remedy = format!("write at most bytes_max, which is {most}");
            return Err(fault(&path, guaranteed, &remedy));
        }
    }
    let of_space = config.tenants.iter().filter(|(_, tenant)| tenant.quota.is_of_space());
    if let Some((name, _)) = of_space.clone().nth(SPACE_QUOTAS_MAX) {
        let count = of_space.count();
        let remedy = format!(
            "give at most {SPACE_QUOTAS_MAX} tenants bytes_max, bytes_guaranteed or objects_max"
        );
        let path = format!("{}.{name}", tenants::SECTION);
        return Err(ConfigError::value(&path, &format!("{count} tenants"), &remedy, ORIGIN));
    }
    let known = config.arenas.iter().map(|(name, arena)| (name.as_str(), arena.capacity));
    iter::once((FIRST_ARENA, config.capacity)).chain(known).try_for_each(|(arena, capacity)| {
        capacity.map_or(Ok(()), |capacity| check_capacity(config, arena, capacity))
    })
}

/// Checks that what is guaranteed fits into an arena.
pub(crate) fn check_capacity(
    config: &Config,
    arena: &str,
    capacity: ByteSize,
) -> Result<(), ConfigError> {
    let total = guaranteed(config, arena);
    let largest = all(config)
        .filter(|(path, _)| is_of_arena(config, path, arena))
        .filter_map(|(path, quota)| Some((quota.bytes_guaranteed?, path)))
        .max_by_key(|(size, _)| *size);
    let Some((size, path)) = largest.filter(|_| total > capacity) else { return Ok(()) };
    let remedy = format!(
        "guarantee less, or raise {}.capacity: the guarantees of all are {total} together, and the \
         arena has {capacity}",
        if arena == FIRST_ARENA { "cache".to_owned() } else { format!("arena.{arena}") }
    );
    Err(fault(&path, size, &remedy))
}

/// Quotas as the catalog of an arena has them: those of its tenants, and in the arena of `[cache]` those of buckets.
pub(crate) fn of_catalog(config: &Config, arena: &str) -> QuotaConfig {
    let quota = |tenant: &TenantConfig| match tenant.is_in(arena) {
        true => tenant.quota,
        false => Quota::default(),
    };
    let tenants: Vec<_> = config.tenants.values().map(quota).collect();
    let owners = match tenants.iter().any(Quota::is_of_space) {
        true => {
            let written = written(config, arena);
            BucketOwners::new(move |bucket| owner(&written, bucket).and_then(TenantId::at))
        }
        false => BucketOwners::default(),
    };
    let buckets = match arena == FIRST_ARENA {
        true => config.bucket_quotas.clone(),
        false => BTreeMap::new(),
    };
    QuotaConfig { buckets, tenants, owners }
}

/// Buckets that each tenant may write in an arena, by the places of the tenants.
fn written(config: &Config, arena: &str) -> Vec<Vec<BucketGlob>> {
    let of_tenant = |tenant: &TenantConfig| match tenant.is_in(arena) {
        true => tenant.write.clone(),
        false => Vec::new(),
    };
    config.tenants.values().map(of_tenant).collect()
}

/// Whether the quota of a section is one of this arena.
fn is_of_arena(config: &Config, path: &str, arena: &str) -> bool {
    let tenant = path.strip_prefix(tenants::SECTION).and_then(|name| name.strip_prefix('.'));
    match tenant.and_then(|name| config.tenants.get(name)) {
        Some(tenant) => tenant.is_in(arena),
        None => arena == FIRST_ARENA,
    }
}

/// Place of the tenant that a bucket counts for, by the buckets that each may write: the one that names it the most
/// exactly.
fn owner(written: &[Vec<BucketGlob>], bucket: &str) -> Option<usize> {
    let of_tenant = |(place, globs): (usize, &Vec<BucketGlob>)| {
        let matching = globs.iter().filter(|glob| glob.matches(bucket));
        let exactness = matching.map(BucketGlob::exactness).max()?;
        Some((exactness, Reverse(place)))
    };
    written.iter().enumerate().filter_map(of_tenant).max().map(|(_, Reverse(place))| place)
}

/// Sum of all guarantees of an arena. That of a bucket is part of its tenant's.
fn guaranteed(config: &Config, arena: &str) -> ByteSize {
    let written = written(config, arena);
    let mut of_tenants = vec![0_u64; written.len()];
    let mut others = 0_u64;
    for (bucket, quota) in config.bucket_quotas.iter().filter(|_| arena == FIRST_ARENA) {
        let size = quota.bytes_guaranteed.map_or(0, ByteSize::bytes);
        let sum = owner(&written, bucket.as_str()).and_then(|place| of_tenants.get_mut(place));
        let sum = sum.unwrap_or(&mut others);
        *sum = sum.saturating_add(size);
    }
    let tenants = config.tenants.values().zip(of_tenants).filter(|(one, _)| one.is_in(arena));
    let tenants = tenants.map(|(tenant, buckets)| {
        tenant.quota.bytes_guaranteed.map_or(0, ByteSize::bytes).max(buckets)
    });
    ByteSize::new(tenants.fold(others, u64::saturating_add))
}

/// All quotas, each with the path of its section.
fn all(config: &Config) -> impl Iterator<Item = (String, Quota)> {
    let tenants = config.tenants.iter();
    let tenants =
        tenants.map(|(name, tenant)| (format!("{}.{name}", tenants::SECTION), tenant.quota));
    let buckets = config.bucket_quotas.iter();
    let buckets = buckets.map(|(name, quota)| (format!("{}.{name}", buckets::SECTION), *quota));
    tenants.chain(buckets)
}

fn fault(path: &str, guaranteed: ByteSize, remedy: &str) -> ConfigError {
    let path = format!("{path}.bytes_guaranteed");
    ConfigError::value(&path, &guaranteed.to_string(), remedy, ORIGIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ServeArgs, load};

    fn loaded(set: &[&str]) -> Result<Config, String> {
        let given = ["tenant.a.uids=1", "tenant.a.write=a*", "tenant.b.uids=2", "tenant.b.write=*"];
        let set = given.iter().chain(set).map(ToString::to_string).collect();
        load(&ServeArgs { set, ..ServeArgs::default() }, []).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bucket_counts_for_the_tenant_that_names_it_the_most_exactly() {
        let globs = |patterns: &[&str]| {
            patterns.iter().map(|pattern| BucketGlob::parse(pattern).unwrap()).collect::<Vec<_>>()
        };
        let written = [globs(&["*", "x"]), globs(&["team-*", "y"]), globs(&["team-a*", "team-b"])];
        for (bucket, place) in
            [("z", 0), ("x", 0), ("y", 1), ("team-c", 1), ("team-ab", 2), ("team-b", 2)]
        {
            assert_eq!(owner(&written, bucket), Some(place), "{bucket}");
        }
        assert_eq!(owner(&[globs(&["a*"]), globs(&["a*"])], "ab"), Some(0), "then the first");
        assert_eq!(owner(&written[1..], "z"), None);
    }

    #[test]
    fn guarantees_beyond_the_arena_are_named_with_the_remedy() {
        let within = [
            "cache.capacity=10GiB",
            "tenant.a.bytes_guaranteed=4GiB",
            "bucket.a1.bytes_guaranteed=2GiB",
            "bucket.a2.bytes_guaranteed=3GiB",
            "bucket.z.bytes_guaranteed=5GiB",
        ];
        let config = loaded(&within).unwrap();
        assert_eq!(guaranteed(&config, FIRST_ARENA), ByteSize::gib(10));
        let line =
            loaded(&[&within[..], &["tenant.a.bytes_guaranteed=6GiB"]].concat()).unwrap_err();
        for part in ["tenant.a.bytes_guaranteed=`6GiB`", "11GiB together", "arena has 10GiB"] {
            assert!(line.contains(part), "{line}");
        }
        let error = check_capacity(&config, FIRST_ARENA, ByteSize::gib(9)).unwrap_err().to_string();
        assert!(error.contains("bucket.z.bytes_guaranteed=`5GiB`"), "{error}");
    }

    #[test]
    fn a_guarantee_above_the_most_is_refused() {
        for (set, part) in [
            (["tenant.a.bytes_max=1GiB", "tenant.a.bytes_guaranteed=2GiB"], "tenant.a."),
            (["bucket.x.bytes_max=1GiB", "bucket.x.bytes_guaranteed=2GiB"], "bucket.x."),
        ] {
            let line = loaded(&set).unwrap_err();
            assert!(line.contains(&format!("{part}bytes_guaranteed=`2GiB`")), "{line}");
            assert!(line.contains("at most bytes_max, which is 1GiB"), "{line}");
        }
    }

    #[test]
    fn quotas_of_space_are_for_some_tenants() {
        let tenants = (0..=SPACE_QUOTAS_MAX).flat_map(|n| {
            let key = |text: &str| format!("tenant.t{n}.{text}");
            [key("listeners=server"), key(&format!("uids={}", 100 + n)), key("objects_max=1")]
        });
        let tenants: Vec<_> = tenants.filter(|set| !set.contains("listeners")).collect();
        let rights = (0..=SPACE_QUOTAS_MAX).map(|n| format!("tenant.t{n}.write=t{n}"));
        let set: Vec<_> = tenants.into_iter().chain(rights).collect();
        let set: Vec<_> = set.iter().map(String::as_str).collect();
        let line = loaded(&set).unwrap_err();
        assert!(line.contains("at most 63 tenants") && line.contains("`64 tenants`"), "{line}");
    }
}
