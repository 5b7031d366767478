//! Sections of the original daemon's configuration that this one takes and has no use for.

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
