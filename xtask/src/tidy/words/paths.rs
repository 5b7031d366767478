//! Paths of the tree that documents name.

use std::path::Path;

use super::pieces::{Kind, Piece};

/// Folders at the root with which such a path begins.
const FOLDERS: [&str; 7] =
    ["bindings/", "crates/", "docs/", "examples/", "findings/", "testing/", "xtask/"];

/// Paths between backquotes that lead nowhere, each with its line.
pub(super) fn dead<'a>(root: &Path, pieces: &'a [Piece]) -> Vec<(usize, &'a str)> {
    let quoted = pieces.iter().filter(|piece| piece.kind == Kind::Quoted);
    let paths = quoted.map(|piece| (piece.line, piece.text.trim())).filter(|(_, text)| {
        // Commands, patterns and templates are no paths.
        let is_plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
        FOLDERS.iter().any(|folder| text.starts_with(folder)) && text.chars().all(is_plain)
    });
    paths.filter(|(_, path)| !root.join(path).exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::pieces::cut;
    use super::*;

    #[test]
    fn paths_that_lead_nowhere_are_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("crates/a/src")).unwrap();
        std::fs::write(folder.path().join("crates/a/src/lib.rs"), "").unwrap();
        let text = "`crates/a/src/lib.rs`, `crates/a/`,\n`crates/b.rs` and `docs/gone.md`,\n\
            crates/c.rs, `src/lib.rs`, `crates/*.rs`, `crates/d.rs --all`\n";
        let pieces = cut("a.md", text);
        assert_eq!(dead(folder.path(), &pieces), [(2, "crates/b.rs"), (2, "docs/gone.md")]);
    }
}
