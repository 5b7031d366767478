//! Arenas beside the first: sections `[arena."NAME"]` of the file, and `--set arena.NAME.KEY=VALUE`.

use std::collections::BTreeMap;

use kvlease_arena::DEFAULT_SEGMENT_MODE;
use kvlease_types::{ByteSize, SegmentName};

use super::{
    error::ConfigError,
    named::{Named, Said, is_name},
    socket::{SOCKET_MODE_DEFAULT, SocketPlace},
    value,
};

/// The section that the arenas are in.
pub(super) const SECTION: &str = "arena";

/// Name of the arena that the section `[cache]` configures, which no other one has.
pub const FIRST_ARENA: &str = "default";

/// The most arenas in sections: each has an engine with threads of its own.
const ARENAS_MAX: usize = 32;

/// The longest name of an arena, in bytes.
const NAME_LEN_MAX: usize = 64;

/// Sections of arenas.
pub(super) const ARENAS: Named = Named {
    section: SECTION,
    keys: &[
        "capacity",
        "shared_memory_name",
        "segment_mode",
        "segment_uid",
        "segment_gid",
        "socket",
        "socket_mode",
        "socket_gid",
    ],
    lists: &[],
    secrets: None,
};

/// An arena of its own, with an engine, a segment and a fast lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArenaConfig {
    /// Size; `None` until it is given, which it has to be.
    pub capacity: Option<ByteSize>,
    /// Name of the segment; `None` for that of the first arena with `-NAME` behind it.
    pub shared_memory_name: Option<SegmentName>,
    /// File mode of the segment.
    pub segment_mode: u32,
    /// Owner of the segment and of the socket.
    pub segment_uid: Option<u32>,
    /// Group of the segment.
    pub segment_gid: Option<u32>,
    /// Place of the fast lane's socket.
    pub socket: SocketPlace,
    /// File mode of the socket.
    pub socket_mode: u32,
    /// Group of the socket.
    pub socket_gid: Option<u32>,
}

impl Default for ArenaConfig {
    fn default() -> Self {
        Self {
            capacity: None,
            shared_memory_name: None,
            segment_mode: DEFAULT_SEGMENT_MODE,
            segment_uid: None,
            segment_gid: None,
            socket: SocketPlace::Auto,
            socket_mode: SOCKET_MODE_DEFAULT,
            socket_gid: None,
        }
    }
}

/// All arenas beside the first, by name.
pub(super) type Arenas = BTreeMap<String, ArenaConfig>;

/// Adds the arenas of a file.
pub(super) fn apply(
    arenas: &mut Arenas,
    section: toml::Table,
    origin: &str,
) -> Result<(), ConfigError> {
    ARENAS.apply(section, origin, |name, said| match said {
        // One without keys lacks its capacity, which is told when all are checked.
        Said::Section => entry(arenas, name, origin).map(drop),
        Said::Value(key, value) => set(arenas, name, key, value, origin),
    })
}

/// Sets one key of an arena.
pub(super) fn set(
    arenas: &mut Arenas,
    name: &str,
    key: &str,
    value: &str,
    origin: &str,
) -> Result<(), ConfigError> {
    let arena = entry(arenas, name, origin)?;
    set_key(arena, key, value)
        .map_err(|remedy| ConfigError::value(&path(name, key), value, &remedy, origin))
}

fn set_key(arena: &mut ArenaConfig, key: &str, value: &str) -> Result<(), String> {
    match key {
        "capacity" => value::size(value).map(|size| arena.capacity = Some(size)),
        "shared_memory_name" => {
            let name: Result<SegmentName, _> = value.parse();
            let name = name.map_err(|error: kvlease_types::SegmentNameError| error.to_string())?;
            arena.shared_memory_name = Some(name);
            Ok(())
        }
        "segment_mode" => value::mode(value).map(|mode| arena.segment_mode = mode),
        "segment_uid" => value::owner(value).map(|id| arena.segment_uid = id),
        "segment_gid" => value::owner(value).map(|id| arena.segment_gid = id),
        "socket" => SocketPlace::parse(value).map(|place| arena.socket = place),
        "socket_mode" => value::mode(value).map(|mode| arena.socket_mode = mode),
        "socket_gid" => value::owner(value).map(|id| arena.socket_gid = id),
        _ => Err(ARENAS.remedy_for_key(key)),
    }
}

fn entry<'a>(
    arenas: &'a mut Arenas,
    name: &str,
    origin: &str,
) -> Result<&'a mut ArenaConfig, ConfigError> {
    let remedy = if !is_name(name, NAME_LEN_MAX) {
        format!("name an arena by 1 to {NAME_LEN_MAX} letters, digits, `-`, `.` and `_`")
    } else if name == FIRST_ARENA {
        "choose another name, this one is that of the arena in [cache]".to_owned()
    } else if arenas.len() == ARENAS_MAX && !arenas.contains_key(name) {
        format!("write at most {ARENAS_MAX} arenas")
    } else {
        return Ok(arenas.entry(name.to_owned()).or_default());
    };
    Err(ConfigError::value(SECTION, name, &remedy, origin))
}

/// Path of a key, for errors.
pub(super) fn path(name: &str, key: &str) -> String {
    match (name, key) {
        (FIRST_ARENA, "shared_memory_name") => "cache.shared_memory_name".to_owned(),
        (FIRST_ARENA, key) => format!("server.{key}"),
        (name, key) => format!("{SECTION}.{name}.{key}"),
    }
}

/// The arenas as sections of a file; nothing if there are none.
pub(super) fn print(arenas: &Arenas) -> String {
    let table = |arena: &ArenaConfig| {
        let mode = |mode: u32| format!("{mode:04o}").into();
        let mut table = toml::Table::from_iter([
            ("segment_mode".to_owned(), mode(arena.segment_mode)),
            ("segment_uid".to_owned(), value::or_keep(arena.segment_uid).into()),
            ("segment_gid".to_owned(), value::or_keep(arena.segment_gid).into()),
            ("socket".to_owned(), arena.socket.to_string().into()),
            ("socket_mode".to_owned(), mode(arena.socket_mode)),
            ("socket_gid".to_owned(), value::or_keep(arena.socket_gid).into()),
        ]);
        if let Some(capacity) = arena.capacity {
            table.insert("capacity".to_owned(), capacity.to_string().into());
        }
        if let Some(name) = &arena.shared_memory_name {
            table.insert("shared_memory_name".to_owned(), name.to_string().into());
        }
        table.into()
    };
    let sections = arenas.iter().map(|(name, arena)| (name.clone(), table(arena)));
    ARENAS.print(sections.collect())
}
