//! Tenants as people and programs see them: never a hash of a token.

use std::{collections::BTreeMap, path::PathBuf};

use kvlease_server::config::{BucketGlob, Config, TenantConfig};
use serde::Serialize;

use crate::text::{pretty, printable};

/// A tenant as `--json` prints it.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    /// How many hashes of tokens the configuration has.
    tokens: usize,
    token_file: Option<&'a PathBuf>,
    uids: &'a [u32],
    gids: &'a [u32],
    listeners: &'a [String],
    certificate_names: &'a [String],
    read: Vec<&'a str>,
    write: Vec<&'a str>,
    remove: Vec<&'a str>,
    list: Vec<&'a str>,
    admin: bool,
    shares_arena: bool,
    cache_salts: Vec<&'a str>,
    cache_salt_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    arena: Option<&'a str>,
    /// Numbers of its quota, by their keys in the configuration.
    quota: BTreeMap<&'static str, u64>,
}

/// All tenants as one array.
pub(super) fn json(config: &Config) -> String {
    let tenants = config.tenants.iter().map(|(name, tenant)| Shown {
        name,
        tokens: tenant.token_sha256.len(),
        token_file: tenant.token_file.as_ref(),
        uids: &tenant.uids,
        gids: &tenant.gids,
        listeners: &tenant.listeners,
        certificate_names: &tenant.certificate_names,
        read: texts(&tenant.read),
        write: texts(&tenant.write),
        remove: texts(&tenant.remove),
        list: texts(&tenant.list),
        admin: tenant.admin,
        shares_arena: tenant.shares_arena,
        cache_salts: texts(&tenant.cache_salts),
        cache_salt_required: tenant.cache_salt_required,
        arena: tenant.arena.as_deref(),
        quota: tenant.limits().map(|(key, value)| (key, value.number())).collect(),
    });
    pretty(&tenants.collect::<Vec<_>>())
}

/// All tenants as a table, with a line on what none means.
pub(super) fn table(config: &Config) -> String {
    if config.tenants.is_empty() {
        return "no tenants: every caller may do everything\n".to_owned();
    }
    let mut rows = vec![["tenant", "known by", "rights"].map(str::to_owned)];
    rows.extend(
        config
            .tenants
            .iter()
            .map(|(name, tenant)| [printable(name), known_by(tenant), rights(tenant)]),
    );
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let (first, second) = (width(0), width(1));
    rows.iter().map(|[name, by, may]| format!("{name:<first$}  {by:<second$}  {may}\n")).collect()
}

/// Things that the removal of a tenant leaves, a line each.
pub(super) fn left_by(config: &Config, name: &str) -> Vec<String> {
    let Some(tenant) = config.tenants.get(name) else { return Vec::new() };
    let mut lines = Vec::new();
    if !tenant.write.is_empty() {
        lines.push(format!(
            "objects in the buckets that it could write, {}: `kvlease rm --all --bucket NAME` removes them",
            texts(&tenant.write).join(" ")
        ));
    }
    if let Some(path) = &tenant.token_file {
        lines.push(format!("the file of its tokens, `{}`", path.display()));
    }
    if config.tenants.len() == 1 {
        lines.push("no tenant: every caller may do everything".to_owned());
    }
    lines
}

fn known_by(tenant: &TenantConfig) -> String {
    let TenantConfig { uids, gids, listeners, certificate_names, token_file, .. } = tenant;
    let mut parts = Vec::new();
    match tenant.token_sha256.len() {
        0 => {}
        1 => parts.push("a token".to_owned()),
        count => parts.push(format!("{count} tokens")),
    }
    parts.extend(token_file.iter().map(|path| format!("tokens in {}", path.display())));
    parts.extend(uids.iter().map(|id| format!("uid {id}")));
    parts.extend(gids.iter().map(|id| format!("gid {id}")));
    parts.extend(listeners.iter().map(|name| format!("listener {}", printable(name))));
    parts.extend(certificate_names.iter().map(|name| format!("certificate {}", printable(name))));
    parts.join(", ")
}

fn rights(tenant: &TenantConfig) -> String {
    let rights = [
        ("read", &tenant.read),
        ("write", &tenant.write),
        ("remove", &tenant.remove),
        ("list", &tenant.list),
        ("with cache salts", &tenant.cache_salts),
    ];
    let granted = rights.iter().filter(|(_, buckets)| !buckets.is_empty());
    let mut parts: Vec<_> =
        granted.map(|(right, buckets)| format!("{right} {}", texts(buckets).join(" "))).collect();
    let flags = [
        ("admin", tenant.admin),
        ("shares the arena", tenant.shares_arena),
        ("needs cache salts", tenant.cache_salt_required),
    ];
    parts.extend(flags.iter().filter(|(_, is_so)| *is_so).map(|(word, _)| (*word).to_owned()));
    parts.extend(tenant.arena.iter().map(|name| format!("arena {}", printable(name))));
    let limits: BTreeMap<_, _> = tenant.limits().collect();
    parts.extend(limits.iter().map(|(key, value)| format!("{key} {value}")));
    parts.join(", ")
}

fn texts(patterns: &[BucketGlob]) -> Vec<&str> {
    patterns.iter().map(BucketGlob::as_str).collect()
}
