//! The tarball: the binary with its texts, for any distribution.

use anyhow::Result;

use super::{
    binary::Binary,
    release::{self, Release},
    tree::{self, PLAIN, PROGRAM, Tree},
};

/// Level of compression. The highest takes twice the time for a hundredth of the size.
const LEVEL: u32 = 6;

/// Packs one folder, whose name has version and target.
pub(super) fn make(release: &Release, binary: &Binary, share: &Tree) -> Result<()> {
    let name = format!("kvlease-{}-{}", release.version, release::target());
    let parent = Tree::new(release.stage.join("tarball"))?;
    let root = &release.root;
    parent.copy(&format!("{name}/bin/kvlease"), &binary.path, PROGRAM)?;
    parent.copy_all(&format!("{name}/share"), &share.folder)?;
    parent.copy(&format!("{name}/kvlease.toml"), &root.join("packaging/kvlease.toml"), PLAIN)?;
    parent.copy_all(&format!("{name}/examples"), &root.join("examples"))?;
    for file in ["LICENSE", "README.md"] {
        parent.copy(&format!("{name}/{file}"), &root.join(file), PLAIN)?;
    }
    let archive = release.out.join(format!("{name}.tar"));
    tree::tar(&parent.folder, &[&name], &archive, release.time)?;
    tree::gzip(std::slice::from_ref(&archive), LEVEL)?;
    Ok(std::fs::remove_file(archive)?)
}
