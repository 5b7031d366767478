//! Values as people write them, and back.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use kvlease_types::ByteSize;

/// The largest size: half of what a process can address.
const SIZE_MAX: ByteSize = ByteSize::gib(64 << 10);

pub(super) fn size(text: &str) -> Result<ByteSize, String> {
    match text.parse() {
        Ok(ByteSize::ZERO) => Err("write a size above zero, such as `1GiB`".into()),
        Ok(size) if size > SIZE_MAX => Err(format!("write a size of at most {SIZE_MAX}")),
        Ok(size) => Ok(size),
        Err(error) => Err(kvlease_types::ParseByteSizeError::to_string(&error)),
    }
}

/// A size, or `None` for `auto`.
pub(super) fn size_or_auto(text: &str) -> Result<Option<ByteSize>, String> {
    if text == "auto" { Ok(None) } else { size(text).map(Some) }
}

/// A size, or `None` for `none`.
pub(super) fn size_or_none(text: &str) -> Result<Option<ByteSize>, String> {
    if text == "none" { Ok(None) } else { size(text).map(Some) }
}

/// The most connections: more than a machine has ports.
const CONNECTIONS_MAX: usize = 1 << 20;

/// The most leases: a table of them that still fits in memory.
const LEASES_MAX: usize = 1 << 24;

pub(super) fn connections(text: &str) -> Result<usize, String> {
    count(text, CONNECTIONS_MAX)
}

pub(super) fn leases(text: &str) -> Result<usize, String> {
    count(text, LEASES_MAX)
}

/// The most files of a capture.
const FILES_MAX: usize = 1_000;

/// The most requests of which one is in the access log.
const SAMPLE_MAX: usize = 1_000_000;

pub(super) fn files(text: &str) -> Result<usize, String> {
    count(text, FILES_MAX)
}

/// A number of requests of which one is taken.
pub(super) fn sample(text: &str) -> Result<usize, String> {
    count(text, SAMPLE_MAX)
}

fn count(text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ => Err(format!("write a whole number from 1 to {most}")),
    }
}

/// A limit of leases, or `None` for `auto`.
pub(super) fn leases_or_auto(text: &str) -> Result<Option<usize>, String> {
    if text == "auto" { Ok(None) } else { leases(text).map(Some) }
}

/// The shortest span that can be configured: timers do not go by less.
const SPAN_MIN_S: f64 = 0.001;

/// The longest span that can be configured: a year. Longer ones are mistakes of unit.
const SPAN_MAX_S: f64 = 365.0 * 24.0 * 3600.0;

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (SPAN_MIN_S..=SPAN_MAX_S).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!("write a number of seconds from {SPAN_MIN_S} to {SPAN_MAX_S}, a year")),
    }
}

pub(super) fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
        Ok(mode) if mode & !0o666 == 0 && mode & 0o600 == 0o600 => Ok(mode),
        _ => Err("write an octal file mode between `0600` and `0666`".into()),
    }
}

/// A numeric user or group, or `None` for that of the daemon.
pub(super) fn owner(text: &str) -> Result<Option<u32>, String> {
    if text == "keep" {
        return Ok(None);
    }
    match text.parse() {
        // The system takes the largest number for none.
        Ok(u32::MAX) | Err(_) => Err("write a numeric id, or `keep` for the daemon's own".into()),
        Ok(id) => Ok(Some(id)),
    }
}

/// Names that are separated by commas, or `none`.
pub(super) fn names(text: &str) -> Result<Vec<String>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let is_name = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let names: Vec<_> = text.split(',').map(str::trim).collect();
    if names.iter().all(is_name) {
        return Ok(names.into_iter().map(str::to_owned).collect());
    }
    Err("write names without ports, separated by commas, or `none`".into())
}

pub(super) fn or_no_names(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(",") }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "write a numeric address and a port, such as `127.0.0.1:9200` or `[::]:9200`".into()
    })
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("write an absolute path".into()) }
}

/// A path, or `None` for `none`.
pub(super) fn path_or_none(text: &str) -> Result<Option<PathBuf>, String> {
    if text == "none" { Ok(None) } else { path(text).map(Some) }
}

pub(super) fn or_no_path(path: Option<&PathBuf>) -> String {
    path.map_or_else(|| "none".into(), |path| path.display().to_string())
}

pub(super) fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "write `true` or `false`".into())
}

pub(super) fn or_auto(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "auto".into(), |value| value.to_string())
}

pub(super) fn or_none(size: Option<ByteSize>) -> String {
    size.map_or_else(|| "none".into(), |size| size.to_string())
}

pub(super) fn or_keep(owner: Option<u32>) -> String {
    owner.map_or_else(|| "keep".into(), |id| id.to_string())
}
