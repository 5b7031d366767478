//! Errors for names that no setting has, with the nearest name that one has.

use super::{
    arenas, buckets,
    error::ConfigError,
    listeners,
    nearest::nearest,
    settings::{SETTINGS, Setting, split},
    tenants,
};

/// The beginning of every variable, which makes none like another.
const PREFIX: &str = "KVLEASE_";

/// Whether settings begin with this section.
pub(super) fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

/// The error for a section that does not exist, and has no key that could be named.
pub(super) fn section(name: &str, origin: &str) -> ConfigError {
    let remedy = match nearest(name, sections()) {
        Some(section) => format!("did you mean `[{section}]`?"),
        None => one_of_the_sections(),
    };
    error(&format!("[{name}]"), "", remedy, origin)
}

/// The error for a path that no setting has.
pub(super) fn path(path: &str, value: &str, origin: &str) -> ConfigError {
    let section = split(path).0;
    let paths = SETTINGS.iter().map(|setting| setting.path);
    let keys = SETTINGS.iter().map(Setting::key);
    let without_section = section.is_empty().then(|| nearest(path, keys)).flatten();
    let remedy = if let Some(key) = without_section {
        let sections: Vec<_> = SETTINGS
            .iter()
            .filter(|setting| setting.key() == key)
            .map(|setting| format!("[{}]", setting.section()))
            .collect();
        format!("did you mean `{key}` in the section {}?", sections.join(" or "))
    } else if let Some(meant) = nearest(path, paths) {
        format!("did you mean `{meant}`?")
    } else if is_section(section) {
        let keys: Vec<_> = SETTINGS
            .iter()
            .filter(|setting| setting.section() == section)
            .map(Setting::key)
            .collect();
        format!("in {section} there are {}", keys.join(", "))
    } else {
        one_of_the_sections()
    };
    error(path, value, remedy, origin)
}

/// The error for a variable that no setting has.
pub(super) fn variable(name: &str, value: &str) -> ConfigError {
    let names = || SETTINGS.iter().map(|setting| setting.env);
    let without_prefix = |name: &'static str| name.strip_prefix(PREFIX).unwrap_or(name);
    let meant = nearest(name.strip_prefix(PREFIX).unwrap_or(name), names().map(without_prefix));
    let remedy = match meant {
        Some(meant) => format!("unset it, or did you mean `{PREFIX}{meant}`?"),
        None => {
            format!("unset it, or use one of {}", names().collect::<Vec<_>>().join(", "))
        }
    };
    error(name, value, remedy, "environment")
}

fn error(key: &str, value: &str, remedy: String, origin: &str) -> ConfigError {
    ConfigError::Unknown { key: key.into(), value: value.into(), remedy, origin: origin.into() }
}

fn one_of_the_sections() -> String {
    let mut names: Vec<_> = sections().collect();
    names.dedup();
    format!("use one of the sections {}", names.join(", "))
}

fn sections() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(Setting::section).chain([
        buckets::SECTION,
        listeners::SECTION,
        arenas::SECTION,
        tenants::SECTION,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_is_answered_with_the_nearest_one_alone() {
        for (path_used, meant) in [
            ("cache.capasity", "did you mean `cache.capacity`?"),
            ("cahce.capacity", "did you mean `cache.capacity`?"),
            ("lease.ttl_max", "did you mean `lease.ttl_max_s`?"),
            (
                "capacity",
                "did you mean `capacity` in the section [cache] or [checkpoint] or [tier.nvme]?",
            ),
            ("segment_mod", "did you mean `segment_mode` in the section [cache]?"),
            ("adress", "did you mean `address` in the section [server]?"),
        ] {
            let line = path(path_used, "1", "file").to_string();
            assert!(line.contains(meant), "{line}");
            assert!(!line.contains("log"), "others are named as well: {line}");
        }
        let line = variable("KVLEASE_CAPASITY", "1").to_string();
        assert!(line.contains("did you mean `KVLEASE_CAPACITY`?"), "{line}");
        let line = section("cahce", "file").to_string();
        assert!(line.contains("did you mean `[cache]`?"), "{line}");
    }

    #[test]
    fn a_strange_name_is_answered_with_all_there_are() {
        let line = path("cache.frobnication", "1", "file").to_string();
        assert!(line.contains("in cache there are capacity, shared_memory_name"), "{line}");
        for line in [path("transfer.a", "1", "file"), section("transfer", "file")] {
            assert!(
                line.to_string().contains(
                    "server, cache, lease, checkpoint, tier.nvme, tier.remote, events, capture, audit, access_log, log"
                ),
                "{line}"
            );
        }
        let line = variable("KVLEASE_FROBNICATION", "1").to_string();
        assert!(line.contains("KVLEASE_LISTEN") && line.contains("KVLEASE_LOG_LEVEL"), "{line}");
    }
}
