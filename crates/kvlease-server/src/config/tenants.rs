//! Tenants: sections `[tenant."NAME"]` of the file, and `--set tenant.NAME.KEY=VALUE`.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
};

use kvlease_types::{Quota, QuotaValue, SALT_EXCLUDES};

use super::{
    arenas::FIRST_ARENA,
    bucket_glob::BucketGlob,
    buckets,
    error::ConfigError,
    listeners::{FIRST_LISTENER, ListenerConfig},
    named::{Named, Said, is_name},
    token_hash::TokenHash,
    value,
};

/// The section that the tenants are in.
pub(super) const SECTION: &str = "tenant";

/// The most tenants.
const TENANTS_MAX: usize = 1_024;

/// The most values of one key of a tenant.
const VALUES_MAX: usize = 1_024;

/// The longest name of a tenant, of a listener or in a certificate, in bytes.
const NAME_LEN_MAX: usize = 255;

/// Sections of tenants.
pub(super) const TENANTS: Named = Named {
    section: SECTION,
    keys: &[
        "token_sha256",
        "token_file",
        "uids",
        "gids",
        "listeners",
        "certificate_names",
        "read",
        "write",
        "remove",
        "list",
        "admin",
        "shares_arena",
        "arena",
        "bytes_max",
        "bytes_guaranteed",
        "objects_max",
        "leases_max",
        "requests_per_s",
        "connections_max",
        "cache_salts",
        "cache_salt_required",
    ],
    lists: &[
        "token_sha256",
        "uids",
        "gids",
        "listeners",
        "certificate_names",
        "read",
        "write",
        "remove",
        "list",
        "cache_salts",
    ],
    secrets: Some("token"),
};

/// A tenant: how its callers are known, and what they may do.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TenantConfig {
    /// Hashes of its tokens.
    pub token_sha256: Vec<TokenHash>,
    /// File with more of them.
    pub token_file: Option<PathBuf>,
    /// Users whose processes are its callers over the fast lane.
    pub uids: Vec<u32>,
    /// Groups, likewise.
    pub gids: Vec<u32>,
    /// Listeners whose callers are all its own, unless they show something else.
    pub listeners: Vec<String>,
    /// Names in certificates of its callers.
    pub certificate_names: Vec<String>,
    /// Buckets whose objects it may read and look up.
    pub read: Vec<BucketGlob>,
    /// Buckets that it may store into.
    pub write: Vec<BucketGlob>,
    /// Buckets whose objects it may remove.
    pub remove: Vec<BucketGlob>,
    /// Buckets that it may list.
    pub list: Vec<BucketGlob>,
    /// Whether it may do what operators do.
    pub admin: bool,
    /// Whether it may map an arena that has objects which it may not read.
    pub shares_arena: bool,
    /// Name of its arena; `None` for that of `[cache]`.
    pub arena: Option<String>,
    /// Most that it may keep and ask for, and what others leave it.
    pub quota: Quota,
    /// Most connections that it may have open.
    pub connections_max: Option<u64>,
    /// Cache salts of the keys that it may name; without any, it may name every key.
    pub cache_salts: Vec<BucketGlob>,
    /// Whether the keys of LMCache that it names need a cache salt.
    pub cache_salt_required: bool,
}

/// Key of a tenant's connections, which are beside its quota.
pub(super) const CONNECTIONS: &str = "connections_max";

impl TenantConfig {
    /// The keys of its limits that are set: those of its quota, and of its connections.
    pub fn limits(&self) -> impl Iterator<Item = (&'static str, QuotaValue)> {
        let connections = self.connections_max.map(|most| (CONNECTIONS, QuotaValue::Count(most)));
        self.quota.entries().chain(connections)
    }
}

/// All tenants, by name.
pub(super) type Tenants = BTreeMap<String, TenantConfig>;

/// Adds the tenants of a file.
pub(super) fn apply(
    tenants: &mut Tenants,
    section: toml::Table,
    origin: &str,
) -> Result<(), ConfigError> {
    TENANTS.apply(section, origin, |name, said| match said {
        Said::Section => entry(tenants, name, origin).map(drop),
        Said::Value(key, value) => set(tenants, name, key, value, origin),
    })
}

/// Sets one key of a tenant, or adds to it if it is a list.
pub(super) fn set(
    tenants: &mut Tenants,
    name: &str,
    key: &str,
    value: &str,
    origin: &str,
) -> Result<(), ConfigError> {
    let tenant = entry(tenants, name, origin)?;
    set_key(tenant, key, value).map_err(|remedy| {
        // A token may stand where its hash or its file belongs.
        let value = TENANTS.shown(key, value.to_owned());
        ConfigError::value(&format!("{SECTION}.{name}.{key}"), &value, &remedy, origin)
    })
}

fn set_key(tenant: &mut TenantConfig, key: &str, value: &str) -> Result<(), String> {
    match key {
        "token_sha256" => {
            let hash = TokenHash::parse(value).ok_or(
                "write the SHA-256 of the token, 64 hexadecimal digits, as of `printf %s TOKEN | \
                 sha256sum`",
            )?;
            add(&mut tenant.token_sha256, hash)
        }
        "token_file" => {
            let path = PathBuf::from(value);
            if !path.is_absolute() {
                return Err("write an absolute path, of a file with hashes of tokens".into());
            }
            tenant.token_file = Some(path);
            Ok(())
        }
        "uids" => add(&mut tenant.uids, id(value)?),
        "gids" => add(&mut tenant.gids, id(value)?),
        "listeners" => add(&mut tenant.listeners, name(value)?),
        "certificate_names" => add(&mut tenant.certificate_names, name(value)?),
        "read" => add(&mut tenant.read, BucketGlob::parse(value)?),
        "write" => add(&mut tenant.write, BucketGlob::parse(value)?),
        "remove" => add(&mut tenant.remove, BucketGlob::parse(value)?),
        "list" => add(&mut tenant.list, BucketGlob::parse(value)?),
        "admin" => value::flag(value).map(|flag| tenant.admin = flag),
        "shares_arena" => value::flag(value).map(|flag| tenant.shares_arena = flag),
        "arena" => name(value).map(|name| tenant.arena = Some(name)),
        "connections_max" => {
            value::connections(value).map(|most| tenant.connections_max = Some(most as u64))
        }
        "cache_salts" => add(&mut tenant.cache_salts, salts(value)?),
        "cache_salt_required" => value::flag(value).map(|flag| tenant.cache_salt_required = flag),
        key if Quota::KEYS.contains(&key) => tenant.quota.set(key, value),
        _ => Err(TENANTS.remedy_for_key(key)),
    }
}

fn add<T: PartialEq>(values: &mut Vec<T>, value: T) -> Result<(), String> {
    if values.len() == VALUES_MAX {
        return Err(format!("write at most {VALUES_MAX} values"));
    }
    if !values.contains(&value) {
        values.push(value);
    }
    Ok(())
}

fn id(text: &str) -> Result<u32, String> {
    let id: Option<u32> = text.parse().ok();
    // The system takes the largest number for none.
    id.filter(|id| *id < u32::MAX).ok_or_else(|| "write numeric ids, such as `[1000]`".into())
}

fn name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= NAME_LEN_MAX && !text.contains(char::is_control);
    let remedy = || format!("write names of 1 to {NAME_LEN_MAX} bytes without control characters");
    if fits { Ok(text.to_owned()) } else { Err(remedy()) }
}

/// Pattern of cache salts.
fn salts(text: &str) -> Result<BucketGlob, String> {
    // A `\` takes the meaning of the character behind it, and stands for none of a salt.
    if SALT_EXCLUDES.iter().any(|excluded| *excluded != '\\' && text.contains(*excluded)) {
        return Err("write patterns of cache salts, which have no `@`, `/`, `\\` and NUL".into());
    }
    BucketGlob::parse(text)
}

fn entry<'a>(
    tenants: &'a mut Tenants,
    name: &str,
    origin: &str,
) -> Result<&'a mut TenantConfig, ConfigError> {
    if !is_name(name, NAME_LEN_MAX) {
        let remedy =
            format!("name a tenant with 1 to {NAME_LEN_MAX} letters, digits, `-`, `_` and `.`");
        return Err(ConfigError::value(SECTION, name, &remedy, origin));
    }
    if tenants.len() == TENANTS_MAX && !tenants.contains_key(name) {
        let remedy = format!("write at most {TENANTS_MAX} tenants");
        return Err(ConfigError::value(SECTION, name, &remedy, origin));
    }
    Ok(tenants.entry(name.to_owned()).or_default())
}

/// Checks what the tenants say together, and that the listeners are there which they name.
pub(super) fn check(
    tenants: &Tenants,
    listeners: &BTreeMap<String, ListenerConfig>,
) -> Result<(), ConfigError> {
    let fault = |name: &str, key: &str, value: String, remedy: &str| {
        let path = format!("{SECTION}.{name}{}{key}", if key.is_empty() { "" } else { "." });
        Err(ConfigError::value(&path, &value, remedy, "all sources together"))
    };
    let mut owners = BTreeMap::new();
    for (name, tenant) in tenants {
        if !tenant.is_identified() {
            let remedy = "give the tenant token_sha256, token_file, uids, gids, listeners or \
                certificate_names, so that its callers are known";
            return fault(name, "", String::new(), remedy);
        }
        if !tenant.has_rights() {
            let remedy = "give the tenant rights: read, write, remove or list with patterns of \
                buckets, such as `[\"*\"]`, or admin = true";
            return fault(name, "", String::new(), remedy);
        }
        if let Some(listed) = tenant.list.first().filter(|_| !tenant.cache_salts.is_empty()) {
            let remedy = "leave it out: a listing has keys of all cache salts, and this tenant has some \
                in cache_salts";
            return fault(name, "list", listed.as_str().to_owned(), remedy);
        }
        let is_listener = |name: &&String| *name == FIRST_LISTENER || listeners.contains_key(*name);
        if let Some(unknown) = tenant.listeners.iter().find(|name| !is_listener(name)) {
            let remedy = format!(
                "write a section `[listener.\"{unknown}\"]`, or name `{FIRST_LISTENER}`, which is that of \
                 server.address"
            );
            return fault(name, "listeners", unknown.clone(), &remedy);
        }
        for (key, value) in tenant.marks() {
            match owners.entry((key, value)) {
                Entry::Vacant(entry) => {
                    entry.insert(name);
                }
                Entry::Occupied(entry) => {
                    let (key, value) = entry.key().clone();
                    let remedy =
                        format!("leave it to one tenant: `{}` has it as well", entry.get());
                    return fault(name, key, value, &remedy);
                }
            }
        }
    }
    Ok(())
}

impl TenantConfig {
    /// Whether its callers have this arena.
    pub(crate) fn is_in(&self, arena: &str) -> bool {
        self.arena.as_deref().unwrap_or(FIRST_ARENA) == arena
    }

    /// Whether there is any way to know its callers.
    fn is_identified(&self) -> bool {
        !self.token_sha256.is_empty() || self.token_file.is_some() || self.marks().next().is_some()
    }

    fn has_rights(&self) -> bool {
        let Self { read, write, remove, list, admin, .. } = self;
        *admin || [read, write, remove, list].iter().any(|globs| !globs.is_empty())
    }

    /// Values that only one tenant can have, each with its key.
    fn marks(&self) -> impl Iterator<Item = (&'static str, String)> {
        let texts = |key, names: &[String]| {
            names.iter().map(|name| (key, name.clone())).collect::<Vec<_>>()
        };
        let ids = |key, ids: &[u32]| ids.iter().map(|id| (key, id.to_string())).collect::<Vec<_>>();
        let file = self.token_file.iter().map(|path| ("token_file", path.display().to_string()));
        ids("uids", &self.uids)
            .into_iter()
            .chain(ids("gids", &self.gids))
            .chain(texts("listeners", &self.listeners))
            .chain(texts("certificate_names", &self.certificate_names))
            .chain(file)
            .collect::<Vec<_>>()
            .into_iter()
    }
}

/// The tenants as sections of a file, without the hashes of their tokens; nothing if there are none.
pub(super) fn print(tenants: &Tenants) -> String {
    let sections = tenants.iter().map(|(name, tenant)| (name.clone(), table(tenant).into()));
    let text = TENANTS.print(sections.collect());
    let hidden: Vec<_> = tenants
        .iter()
        .filter(|(_, tenant)| !tenant.token_sha256.is_empty())
        .map(|(name, _)| name.as_str())
        .collect();
    match hidden.as_slice() {
        [] => text,
        names => format!("\n# Not printed: token_sha256 of {}{text}", names.join(", ")),
    }
}

fn table(tenant: &TenantConfig) -> toml::Table {
    let texts = |texts: &[String]| texts.iter().cloned().map(toml::Value::from).collect::<Vec<_>>();
    let ids = |ids: &[u32]| ids.iter().map(|id| i64::from(*id).into()).collect::<Vec<_>>();
    let globs = |globs: &[BucketGlob]| {
        globs.iter().map(|glob| glob.as_str().into()).collect::<Vec<toml::Value>>()
    };
    let lists = [
        ("uids", ids(&tenant.uids)),
        ("gids", ids(&tenant.gids)),
        ("listeners", texts(&tenant.listeners)),
        ("certificate_names", texts(&tenant.certificate_names)),
        ("read", globs(&tenant.read)),
        ("write", globs(&tenant.write)),
        ("remove", globs(&tenant.remove)),
        ("list", globs(&tenant.list)),
        ("cache_salts", globs(&tenant.cache_salts)),
    ];
    let lists = lists.into_iter().filter(|(_, values)| !values.is_empty());
    let mut table: toml::Table =
        lists.map(|(key, values)| (key.to_owned(), toml::Value::Array(values))).collect();
    if let Some(path) = &tenant.token_file {
        table.insert("token_file".into(), path.display().to_string().into());
    }
    if let Some(arena) = &tenant.arena {
        table.insert("arena".into(), arena.clone().into());
    }
    for (key, value) in tenant.limits() {
        table.insert(key.into(), buckets::quota_value(value));
    }
    let flags = [
        ("admin", tenant.admin),
        ("shares_arena", tenant.shares_arena),
        ("cache_salt_required", tenant.cache_salt_required),
    ];
    for (key, flag) in flags {
        table.insert(key.into(), flag.into());
    }
    table
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{super::listeners::Serves, *};

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn load(text: &str) -> Result<Tenants, String> {
        let mut tenants = Tenants::new();
        let address = SocketAddr::from(([127, 0, 0, 1], 9201));
        let listener = ListenerConfig { address, serves: Serves::All, tls: None };
        let listeners = ["b", "l"].map(|name| (name.to_owned(), listener.clone())).into();
        let mut file: toml::Table = text.parse().unwrap();
        let Some(toml::Value::Table(section)) = file.remove(SECTION) else { panic!("{text}") };
        let loaded =
            apply(&mut tenants, section, "file").and_then(|()| check(&tenants, &listeners));
        loaded.map(|()| tenants).map_err(|error| error.to_string())
    }

    #[test]
    fn tenants_are_printed_the_way_they_load_but_for_their_tokens() {
        let text = "[tenant.a]\ntoken_file = \"/etc/a\"\nuids = [1000, 1001]\ngids = [7]\n\
                    read = [\"*\"]\nwrite = [\"a-*\", \"{x,y}\"]\nshares_arena = true\narena = \"x\"\n\
                    [tenant.\"b.c\"]\nlisteners = [\"b\"]\ncertificate_names = [\"b.example\"]\n\
                    remove = [\"b\"]\nlist = [\"b\"]\nadmin = true\n\
                    [tenant.c]\nuids = [5]\nread = [\"*\"]\ncache_salts = [\"team-*\", \"{x,y}\"]\n\
                    [tenant.d]\nuids = [6]\nread = [\"*\"]\ncache_salt_required = true\n";
        let tenants = load(text).unwrap();
        assert_eq!((tenants.len(), tenants["a"].uids.as_slice()), (4, &[1000, 1001][..]));
        let printed = print(&tenants);
        assert_eq!(load(&printed), Ok(tenants), "{printed}");
        assert_eq!(print(&Tenants::new()), "");
        let secret = load(&format!("[tenant.a]\ntoken_sha256 = [\"{HASH}\"]\nread = [\"*\"]\n"));
        let secret = secret.unwrap();
        let printed = print(&secret);
        assert!(printed.contains("# Not printed: token_sha256 of a\n"), "{printed}");
        assert!(!printed.contains(&HASH[..8]) && !format!("{secret:?}").contains(&HASH[..8]));
    }

    #[test]
    fn every_mistake_names_key_value_and_remedy() {
        let two = |line: &str| {
            format!("[tenant.a]\n{line}\nread = [\"*\"]\n[tenant.b]\n{line}\nread = [\"*\"]\n")
        };
        for (text, parts) in [
            ("[tenant.a]\nread = [\"*\"]\n", ["tenant.a=``", "token_file, uids"]),
            ("[tenant.a]\nuids = [1]\n", ["tenant.a=``", "give the tenant rights"]),
            ("[tenant.a]\nuids = [-1]\n", ["tenant.a.uids=`-1`", "numeric ids"]),
            ("[tenant.a]\nuids = [4294967295]\n", ["tenant.a.uids=`4294967295`", "numeric ids"]),
            ("[tenant.a]\nread = [\"[a\"]\n", ["tenant.a.read=`[a`", "write a pattern"]),
            (
                "[tenant.a]\nrights = [\"a\"]\n",
                ["tenant.a.rights=`[\"a\"]`", "token_sha256, token_file"],
            ),
            ("[tenant.a]\nreads = [\"a\"]\n", ["tenant.a.reads=`[\"a\"]`", "did you mean `read`?"]),
            (
                "[tenant.a]\ncache_salts = [\"a@b\"]\n",
                ["tenant.a.cache_salts=`a@b`", "have no `@`"],
            ),
            ("[tenant.a]\ncache_salts = [\"\"]\n", ["tenant.a.cache_salts=``", "write a pattern"]),
            (
                "[tenant.a]\nuids = [1]\nlist = [\"b\"]\ncache_salts = [\"a\"]\n",
                ["tenant.a.list=`b`", "keys of all cache salts"],
            ),
            ("[tenant.a]\nadmin = 1\n", ["tenant.a.admin=`1`", "`true` or `false`"]),
            ("[tenant.a]\ntoken_file = \"a\"\n", ["tenant.a.token_file=`not", "absolute path"]),
            ("[tenant.\"a b\"]\nuids = [1]\n", ["tenant=`a b`", "letters, digits"]),
            ("[tenant]\nuids = [1]\n", ["tenant.uids=`[1]`", "[tenant.\"NAME\"]"]),
            ("[tenant.a.b]\nuids = [1]\n", ["tenant.a=`b`", "[tenant.\"a.b\"]"]),
            ("[tenant.a]\nlisteners = [\"\"]\n", ["tenant.a.listeners=``", "write names"]),
            (
                "[tenant.a]\nlisteners = [\"c\"]\nread = [\"*\"]\n",
                ["tenant.a.listeners=`c`", "[listener.\"c\"]"],
            ),
            (&two("uids = [5]"), ["tenant.b.uids=`5`", "`a` has it as well"]),
            (&two("gids = [5]"), ["tenant.b.gids=`5`", "`a` has it as well"]),
            (&two("listeners = [\"l\"]"), ["tenant.b.listeners=`l`", "`a` has it as well"]),
            (&two("token_file = \"/f\""), ["tenant.b.token_file=`/f`", "`a` has it as well"]),
        ] {
            let line = load(text).unwrap_err();
            assert!(parts.iter().all(|part| line.contains(part)), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn no_error_shows_what_may_be_a_token() {
        for text in [
            "[tenant.a]\ntoken_sha256 = [\"hunter2\"]\n",
            "[tenant.a]\ntoken_sha256 = \"hunter2\"\n",
            "[tenant.a]\ntoken = \"hunter2\"\n",
            "[tenant.a]\ntokens = [\"hunter2\"]\n",
            "[tenant.a]\ntoken_file = \"hunter2\"\n",
            "[tenant]\ntoken_sha256 = \"hunter2\"\n",
        ] {
            let line = load(text).unwrap_err();
            assert!(line.contains("not shown, ") && !line.contains("hunter2"), "{line}");
        }
    }

    #[test]
    fn there_are_limits() {
        let many: String = (0..=TENANTS_MAX).map(|n| format!("[tenant.t{n}]\n")).collect();
        assert!(load(&many).unwrap_err().contains("at most 1024 tenants"));
        let ids: Vec<_> = (0..=VALUES_MAX).collect();
        let line = load(&format!("[tenant.a]\nuids = {ids:?}\n")).unwrap_err();
        assert!(line.contains("at most 1024 values"), "{line}");
    }
}
