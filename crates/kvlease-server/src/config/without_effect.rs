//! Parts of a configuration that are taken and have no effect: a section of the original daemon, and
//! settings of what is not there.

use super::settings::{Config, SETTINGS};

/// Section of the original that says how its nodes reach each other, `[transfer]`: its protocol is not
/// public. Any key is taken, so that a node's own file can stay as it is.
const TRANSFER: &str = "transfer";

/// Whether a section is taken without an effect.
pub(super) fn is_section(name: &str) -> bool {
    name == TRANSFER
}

/// A sentence about such a section, with its keys and the setting to use instead.
pub(super) fn note(section: &str, keys: &toml::Table, origin: &str) -> String {
    let keys: Vec<_> = keys.keys().map(String::as_str).collect();
    format!(
        "the section [{section}] of the original daemon has no effect here: remove it, and set \
         tier.remote.url where nodes are to share objects, keys=`{}` ({origin})",
        keys.join(", ")
    )
}

/// Settings that others of their section need, unless that is for nothing: with `none` for the first of
/// each, the others have no effect.
const NEEDED: [(&str, &[&str]); 7] = [
    ("tier.nvme.path", &["capacity", "write_through", "rate_min", "rate_max"]),
    (
        "tier.remote.url",
        &[
            "tls_ca_file",
            "lookup_always",
            "write_through",
            "rate_min",
            "find_timeout_s",
            "timeout_s",
        ],
    ),
    ("events.endpoint", &["replay_endpoint", "topic", "format"]),
    ("capture.path", &["file_size", "files_max", "secret_file"]),
    ("audit.path", &["level", "file_size", "files_max"]),
    ("access_log.path", &["sample", "file_size", "files_max"]),
    (
        "otlp.endpoint",
        &[
            "headers_file",
            "tls_ca_file",
            "signals",
            "sample_ratio",
            "interval_s",
            "timeout_s",
            "resource_attributes",
        ],
    ),
];

/// A sentence about each setting that has another value than its default and needs one that is not
/// there. `given` tells value and origin of what was given.
pub(super) fn notes<'a>(
    config: &Config,
    given: impl Fn(&str) -> Option<(&'a str, &'a str)>,
) -> Vec<String> {
    let defaults = Config::default();
    let is_off = |path: &str| {
        let needed = SETTINGS.iter().find(|setting| setting.path == path);
        needed.is_some_and(|needed| needed.value(config) == "none")
    };
    let off = NEEDED.into_iter().filter(|(needed, _)| is_off(needed));
    off.flat_map(|(needed, keys)| {
        let of_section = SETTINGS.iter().filter(move |setting| {
            needed.strip_prefix(setting.section()).is_some_and(|rest| rest.starts_with('.'))
                && keys.contains(&setting.key())
        });
        of_section.map(move |setting| (needed, setting))
    })
    .filter(|(_, setting)| setting.value(config) != setting.value(&defaults))
    .filter_map(|(needed, setting)| {
        let (value, origin) = given(setting.path)?;
        let path = setting.path;
        Some(format!(
            "{path} has no effect without {needed}: set that, {path}=`{value}` ({origin})"
        ))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_and_what_needs_it_are_settings() {
        for (needed, keys) in NEEDED {
            let section = needed.rsplit_once('.').unwrap().0;
            let paths = keys.iter().map(|key| format!("{section}.{key}"));
            for path in paths.chain([needed.to_owned()]) {
                let setting = SETTINGS.iter().find(|setting| setting.path == path);
                assert!(setting.is_some(), "{path} is no setting");
            }
        }
    }
}
