//! Checks of tenants and quotas where a daemon is to start: what quotas say, and files of tokens.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
};

use kvlease_cache::UNIT;
use kvlease_client::{ByteSize, DEFAULT_BUCKET};
use kvlease_server::{
    check_token_file,
    config::{Config, TenantConfig},
    guarantees_fit,
};
use rustix::process::geteuid;

use super::{
    names::Name,
    report::{Outcome, Report, Trouble},
};

/// Names that need settings.
pub(super) const OF_SETTINGS: [Name; 5] = [
    Name::Guarantees,
    Name::QuotaBelowObject,
    Name::TokenFileUnusable,
    Name::TokenFileOpen,
    Name::BucketsShared,
];

/// Bits of a mode: what a group and all others may do.
const WRITE_BY_OTHERS: u32 = 0o022;
const READ_BY_ALL: u32 = 0o004;

/// Looks at the tenants and quotas. `owner` is the user of the daemon that left its segment, if one did, and `exists`
/// whether an arena is there.
pub(super) fn check(
    config: &Config,
    owner: Option<u32>,
    exists: impl Fn(&Config) -> bool,
    report: &mut Report,
) {
    report.add(Name::Guarantees, guarantees(config, exists));
    report.add(Name::QuotaBelowObject, below_object(config));
    report.add(Name::TokenFileUnusable, unusable(config, owner));
    report.add(Name::TokenFileOpen, open(config));
    report.add(Name::BucketsShared, shared_buckets(config));
}

fn guarantees(config: &Config, exists: impl Fn(&Config) -> bool) -> Outcome {
    match guarantees_fit(config, exists) {
        Ok(()) => Outcome::Right,
        Err(error) => Outcome::wrong(
            format!("the daemon would not start with the arena that it could make now: {error}"),
            "set cache.capacity, which is `auto`, and see that the machine has that much, or guarantee less",
        ),
    }
}

/// Quotas with the most space, each with the path of its section.
fn spaces(config: &Config) -> impl Iterator<Item = (String, ByteSize)> {
    let tenants =
        config.tenants.iter().map(|(name, t)| (format!("tenant.{name}"), t.quota.bytes_max));
    let buckets = config.bucket_quotas.iter();
    let buckets = buckets.map(|(name, quota)| (format!("bucket.{name}"), quota.bytes_max));
    tenants.chain(buckets).filter_map(|(path, most)| Some((path, most?)))
}

fn below_object(config: &Config) -> Outcome {
    let useless = spaces(config).filter(|(_, most)| *most < UNIT).map(|(path, most)| {
        let what = format!("the quota has room for no object at all, {path}.bytes_max=`{most}`");
        Trouble::new(what, format!("raise it: objects count in units of {UNIT}"))
    });
    let useless: Vec<_> = useless.collect();
    if !useless.is_empty() {
        return Outcome::Wrong(useless);
    }
    let longest = config.object_len_max;
    let small = spaces(config).filter(|(_, most)| *most < longest);
    let small: Vec<_> = small.map(|(path, most)| format!("{path}.bytes_max={most}")).collect();
    if small.is_empty() {
        return Outcome::Right;
    }
    Outcome::hint(
        format!(
            "objects that the daemon takes may be longer than these quotas, and are refused then, \
             quotas=`{}` cache.object_len_max=`{longest}`",
            small.join(", ")
        ),
        "raise the quotas above the longest object of the engines, or lower cache.object_len_max to it",
    )
}

/// Tenants with a file of tokens.
fn files(config: &Config) -> impl Iterator<Item = (&str, &std::path::Path)> {
    let tenants = config.tenants.iter();
    tenants.filter_map(|(name, tenant)| Some((name.as_str(), tenant.token_file.as_deref()?)))
}

/// Files that the daemon cannot read, as its user if that is known, or that it would not take.
fn unusable(config: &Config, owner: Option<u32>) -> Outcome {
    let faults = files(config).filter_map(|(tenant, path)| {
        let named = format!("tenant=`{tenant}` token_file=`{}`", path.display());
        if let Err(remedy) = check_token_file(path) {
            return Some(Trouble::new(
                format!("the daemon cannot use a file of tokens, {named}"),
                remedy,
            ));
        }
        // The superuser, who looks, can read what the daemon's user cannot.
        let user = owner.filter(|user| geteuid().is_root() && *user != 0)?;
        let found = fs::metadata(path).ok()?;
        (!may_read(&found, user)).then(|| {
            Trouble::new(
                format!("the daemon's user cannot read a file of tokens, {named} user=`{user}`"),
                format!("`chown {user} {}`", path.display()),
            )
        })
    });
    let faults: Vec<_> = faults.collect();
    if faults.is_empty() { Outcome::Right } else { Outcome::Wrong(faults) }
}

/// Whether a user may read a file, as far as its mode tells: whose groups there are is not known.
fn may_read(found: &Metadata, user: u32) -> bool {
    let bits = if found.uid() == user { 0o400 } else { 0o044 };
    found.mode() & bits != 0
}

fn open(config: &Config) -> Outcome {
    let (mut written, mut read) = (Vec::new(), Vec::new());
    for (tenant, path) in files(config) {
        let Ok(found) = fs::metadata(path) else { continue };
        let named = format!(
            "tenant=`{tenant}` token_file=`{}` mode=`{:04o}`",
            path.display(),
            found.mode() & 0o7777
        );
        let remedy = format!("`chmod 0600 {}`", path.display());
        if found.mode() & WRITE_BY_OTHERS != 0 {
            let what =
                format!("other users can add tokens to the file, and are the tenant then, {named}");
            written.push(Trouble::new(what, remedy));
        } else if found.mode() & READ_BY_ALL != 0 {
            let what =
                format!("all users can read the hashes of tokens, and try short ones, {named}");
            read.push((what, remedy));
        }
    }
    match read.into_iter().next() {
        _ if !written.is_empty() => Outcome::Wrong(written),
        Some((what, remedy)) => Outcome::hint(what, remedy),
        None => Outcome::Right,
    }
}

/// Buckets that one tenant may write and another may read or write, where no salts of keys keep them apart.
fn shared_buckets(config: &Config) -> Outcome {
    let tenants: Vec<_> = config.tenants.iter().filter(|(_, tenant)| !tenant.admin).collect();
    let mut shared: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for bucket in named_buckets(config) {
        for (place, (name, writer)) in tenants.iter().enumerate() {
            let others = tenants.iter().enumerate().filter(|(other, _)| *other != place);
            let mut others = others.map(|(_, (name, other))| (name, other)).filter(|(_, other)| {
                other.arena == writer.arena
                    && (writer.cache_salts.is_empty() || other.cache_salts.is_empty())
                    && (may(other, bucket, true) || may(other, bucket, false))
            });
            if may(writer, bucket, true)
                && let Some((other, _)) = others.next()
            {
                shared.entry(bucket).or_default().extend([name.as_str(), other.as_str()]);
            }
        }
    }
    if shared.is_empty() {
        return Outcome::Right;
    }
    let named = shared.iter().map(|(bucket, tenants)| {
        format!("{bucket}: {}", tenants.iter().copied().collect::<Vec<_>>().join(", "))
    });
    Outcome::hint(
        format!(
            "tenants share these buckets, so each finds objects of the others, buckets=`{}`",
            named.collect::<Vec<_>>().join("; ")
        ),
        "where that is not meant, give each a bucket of its own in read and write, an arena of its own, or \
         cache_salts",
    )
}

/// Names of buckets that the configuration has, and that of clients which say none.
fn named_buckets(config: &Config) -> BTreeSet<&str> {
    let patterns =
        config.tenants.values().flat_map(|tenant| tenant.read.iter().chain(&tenant.write));
    let whole = patterns
        .map(|pattern| pattern.as_str())
        .filter(|text| !text.contains(['*', '?', '[', '{', '\\']));
    let configured = config.buckets.keys().map(|bucket| bucket.as_str());
    whole.chain(configured).chain([DEFAULT_BUCKET]).collect()
}

fn may(tenant: &TenantConfig, bucket: &str, write: bool) -> bool {
    let patterns = if write { &tenant.write } else { &tenant.read };
    patterns.iter().any(|pattern| pattern.matches(bucket))
}
