//! Checks of all arenas together, with their tenants.

use std::{collections::HashMap, iter::once, path::PathBuf};

use super::{
    arenas::{FIRST_ARENA, SECTION, path},
    error::ConfigError,
    settings::Config,
};

/// Completes and checks all arenas of the configuration: each has a size, a segment, a socket and tenants of
/// its own, and tenants name arenas that are there.
pub(super) fn check(config: &mut Config) -> Result<(), ConfigError> {
    let fault = |key: &str, value: &str, remedy: &str| {
        Err(ConfigError::value(key, value, remedy, "all sources together"))
    };
    for (tenant, name) in config
        .tenants
        .iter()
        .filter_map(|(tenant, config)| config.arena.as_ref().map(|arena| (tenant, arena)))
    {
        if name != FIRST_ARENA && !config.arenas.contains_key(name) {
            let remedy = format!(
                "write a section `[{SECTION}.\"{name}\"]`, or leave it out for the arena of [cache]"
            );
            return fault(&format!("tenant.{tenant}.arena"), name, &remedy);
        }
    }
    let first = config.shared_memory_name.clone();
    for (name, arena) in &mut config.arenas {
        if arena.capacity.is_none() {
            return fault(&path(name, "capacity"), "", "give the arena a size, such as `4GiB`");
        }
        let is_of_arena = |arena: &Option<String>| arena.as_ref() == Some(name);
        if !config.tenants.values().any(|tenant| is_of_arena(&tenant.arena)) {
            let remedy = format!(
                "let a tenant have it, tenant.NAME.arena = \"{name}\", or remove the section"
            );
            return fault(&format!("{SECTION}.{name}"), "", &remedy);
        }
        if arena.shared_memory_name.is_none() {
            let segment = format!("{first}-{name}");
            let parsed = segment.parse().map_err(|error: kvlease_types::SegmentNameError| {
                let key = path(name, "shared_memory_name");
                ConfigError::value(&key, &segment, &error.to_string(), "default")
            });
            arena.shared_memory_name = Some(parsed?);
        }
    }
    check_places(config)
}

/// Checks that no two arenas have a segment or a socket in common.
fn check_places(config: &Config) -> Result<(), ConfigError> {
    let mut owners: HashMap<PathBuf, String> = HashMap::new();
    for name in config.arena_names() {
        let arena = config.of_arena(name);
        let segment = arena.shared_memory_dir.join(arena.shared_memory_name.as_str());
        let socket = match arena.socket.path(&arena.shared_memory_dir, &arena.shared_memory_name) {
            Ok(socket) => socket,
            // The first arena's is checked where it is made, as it always was.
            Err(_) if name == FIRST_ARENA => None,
            Err(ConfigError::Value { value, remedy, origin, .. }) => {
                return Err(ConfigError::value(&path(name, "socket"), &value, &remedy, &origin));
            }
            Err(error) => return Err(error),
        };
        let places = once(("shared_memory_name", segment));
        let places = places.chain(socket.map(|socket| ("socket", socket)));
        for (key, place) in places {
            let (key, shown) = (path(name, key), place.display().to_string());
            if let Some(other) = owners.insert(place, key.clone()) {
                let remedy = format!("choose another one than that of `{other}`");
                return Err(ConfigError::value(&key, &shown, &remedy, "all sources together"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kvlease_types::ByteSize;

    use super::{
        super::arenas::{Arenas, apply, print},
        *,
    };
    use crate::config::{ArenaConfig, TenantConfig};

    fn load(text: &str) -> Result<Config, String> {
        let mut config = Config::default();
        config.tenants.insert("t".into(), TenantConfig::default());
        let mut file: toml::Table = text.parse().unwrap();
        let loaded = match file.remove(SECTION) {
            Some(toml::Value::Table(section)) => apply(&mut config.arenas, section, "file"),
            Some(_) => panic!("{text}"),
            None => Ok(()),
        };
        let names: Vec<_> = config.arenas.keys().cloned().collect();
        for name in names {
            let tenant = TenantConfig { arena: Some(name.clone()), ..TenantConfig::default() };
            config.tenants.insert(format!("of-{name}"), tenant);
        }
        loaded.and_then(|()| check(&mut config)).map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn arenas_are_printed_the_way_they_load() {
        let text = "[arena.a]\ncapacity = \"2GiB\"\nsegment_uid = 1001\nsegment_mode = \"0640\"\n\
                    socket = \"/run/a.sock\"\nsocket_gid = 7\n[arena.\"b.c\"]\ncapacity = \"1GiB\"\n\
                    shared_memory_name = \"b\"\nsocket = \"none\"\n";
        let config = load(text).unwrap();
        let names: Vec<_> = config.arena_names().collect();
        assert_eq!(names, [FIRST_ARENA, "a", "b.c"]);
        let printed = print(&config.arenas);
        assert_eq!(load(&printed), Ok(config.clone()), "{printed}");
        assert_eq!(print(&Arenas::new()), "");
        let a = config.of_arena("a");
        assert_eq!(a.shared_memory_name.to_string(), "shared_memory-a");
        let owner = (a.segment_uid, a.segment_mode, a.socket_mode, a.socket_gid);
        assert_eq!(owner, (Some(1001), 0o640, 0o600, Some(7)));
        assert_eq!(a.capacity, Some(ByteSize::gib(2)));
    }

    #[test]
    fn every_mistake_names_key_value_and_remedy() {
        let two = |line: &str| {
            format!("[arena.a]\ncapacity=\"1GiB\"\n{line}\n[arena.b]\ncapacity=\"1GiB\"\n{line}\n")
        };
        let one = |line: &str| format!("[arena.a]\ncapacity=\"1GiB\"\n{line}\n");
        for (text, parts) in [
            ("[arena.a]\n", ["arena.a.capacity=``", "give the arena a size"]),
            ("[arena.a]\ncapacity = \"auto\"\n", ["arena.a.capacity=`auto`", "1GiB"]),
            ("[arena.default]\ncapacity = \"1GiB\"\n", ["arena=`default`", "another name"]),
            ("[arena.\"a b\"]\n", ["arena=`a b`", "letters, digits"]),
            ("[arena]\ncapacity = 1\n", ["arena.capacity=`1`", "[arena.\"NAME\"]"]),
            (&one("mode = \"0600\""), ["arena.a.mode=`0600`", "use the keys capacity, shared"]),
            (&one("segment_mode = \"0777\""), ["arena.a.segment_mode=`0777`", "octal"]),
            (&one("socket = \"x\""), ["arena.a.socket=`x`", "absolute path"]),
            (
                &one("shared_memory_name = \"shared_memory\""),
                [
                    "arena.a.shared_memory_name=`/dev/shm/shared_memory`",
                    "`cache.shared_memory_name`",
                ],
            ),
            (
                &one("socket = \"/dev/shm/.kvlane.shared_memory/sock\""),
                ["arena.a.socket=`/dev/shm/.kvlane.shared", "that of `server.socket`"],
            ),
            (
                &two("shared_memory_name = \"x\""),
                ["arena.b.shared_memory_name=`/dev/shm/x`", "`arena.a.shared_memory_name`"],
            ),
            (&two("socket = \"/run/s\""), ["arena.b.socket=`/run/s`", "that of `arena.a.socket`"]),
        ] {
            let line = load(text).unwrap_err();
            assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        }
        let many: String =
            (0..=32).map(|n| format!("[arena.a{n}]\ncapacity = \"1GiB\"\n")).collect();
        assert!(load(&many).unwrap_err().contains("at most 32 arenas"));
        let long = format!("[arena.{}]\ncapacity = \"1GiB\"\n", "n".repeat(64));
        assert!(load(&long).is_ok());
    }

    #[test]
    fn tenants_and_arenas_name_each_other() {
        let mut config = load("").unwrap();
        config.tenants.insert(
            "t".into(),
            TenantConfig { arena: Some("x".into()), ..TenantConfig::default() },
        );
        let line = check(&mut config).unwrap_err().to_string();
        assert!(line.contains("tenant.t.arena=`x`") && line.contains("[arena.\"x\"]"), "{line}");
        config.tenants.clear();
        let arena = ArenaConfig { capacity: Some(ByteSize::gib(1)), ..ArenaConfig::default() };
        config.arenas.insert("x".into(), arena);
        let line = check(&mut config).unwrap_err().to_string();
        assert!(line.contains("arena.x=``") && line.contains("tenant.NAME.arena"), "{line}");
    }
}
