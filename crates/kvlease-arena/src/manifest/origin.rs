//! Result of the search for an earlier daemon's manifest.

use std::fmt;

use super::layout::VERSION;

/// Result of the search for an earlier daemon's manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ManifestOrigin {
    /// The arena is new: there is no earlier daemon.
    Created,
    /// The manifest was read.
    Kept,
    /// The arena has none.
    Missing,
    /// It has the layout of another version, which this daemon does not read.
    OtherVersion(u32),
    /// It belongs to another arena.
    OtherArena,
    /// It is from another boot.
    OtherBoot,
    /// Its header is corrupt.
    Corrupt,
}

impl fmt::Display for ManifestOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("the arena is new"),
            Self::Kept => f.write_str("the manifest of an earlier daemon was read"),
            Self::Missing => f.write_str("an earlier daemon left no manifest beside the arena"),
            Self::OtherVersion(version) => write!(
                f,
                "the manifest has version {version}, and this daemon reads version {VERSION}"
            ),
            Self::OtherArena => f.write_str("the manifest belongs to another arena"),
            Self::OtherBoot => f.write_str("the manifest is from before the last boot"),
            Self::Corrupt => f.write_str("the header of the manifest is corrupt"),
        }
    }
}
