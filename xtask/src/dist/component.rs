//! One component of what is shipped.

use std::path::PathBuf;

/// Crate, or library of another registry, in one version.
pub(super) struct Component {
    /// The registry's name in a package URL.
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) version: String,
    /// SPDX expression.
    pub(super) licence: String,
    /// Folder of its source.
    pub(super) folder: PathBuf,
    /// A part of this project.
    pub(super) is_own: bool,
    /// Names and versions of the crates that it needs.
    pub(super) needs: Vec<(String, String)>,
}

impl Component {
    /// Package URL, which identifies it everywhere.
    pub(super) fn url(&self) -> String {
        url(self.kind, &self.name, &self.version)
    }
}

/// Package URL of a name and version.
pub(super) fn url(kind: &str, name: &str, version: &str) -> String {
    format!("pkg:{kind}/{name}@{}", version.replace('+', "%2B"))
}
