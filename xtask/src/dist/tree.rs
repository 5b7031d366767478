//! Trees of files that packages are made from.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{binary::Binary, release::Release};
use crate::process;

/// Mode of files, and of programs.
pub(super) const PLAIN: u32 = 0o644;
pub(super) const PROGRAM: u32 = 0o755;

/// Shells, with the places of their completions below `share`.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/kvlease"),
    ("fish", "fish/vendor_completions.d/kvlease.fish"),
    ("zsh", "zsh/vendor-completions/_kvlease"),
];

/// Folder under way, whose modes do not depend on the umask.
pub(super) struct Tree {
    pub(super) folder: PathBuf,
}

impl Tree {
    /// An empty tree.
    pub(super) fn new(folder: PathBuf) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let tree = Self { folder };
        tree.make_folder(&tree.folder)?;
        Ok(tree)
    }

    /// Writes a file, at a path from the root of the tree.
    pub(super) fn write(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        let path = self.folder.join(path);
        self.make_folder(path.parent().context("a file is in a folder")?)?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
    }

    /// Copies a file to a path from the root of the tree.
    pub(super) fn copy(&self, path: &str, from: &Path, mode: u32) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.write(path, content, mode)
    }

    /// Copies all files of a folder and of those within it.
    pub(super) fn copy_all(&self, path: &str, from: &Path) -> Result<()> {
        for (inside, file) in files(from)? {
            self.copy(&format!("{path}/{inside}"), &file, PLAIN)?;
        }
        Ok(())
    }

    fn make_folder(&self, folder: &Path) -> Result<()> {
        if folder.exists() {
            return Ok(());
        }
        self.make_folder(folder.parent().context("a folder is in a folder")?)?;
        fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(fs::set_permissions(folder, fs::Permissions::from_mode(PROGRAM))?)
    }
}

/// Files below a folder, with their paths from it, in order.
pub(super) fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), folder.to_owned())];
    while let Some((inside, folder)) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok().context("names are UTF-8")?;
            let path = format!("{inside}{name}");
            if entry.file_type()?.is_dir() {
                folders.push((format!("{path}/"), entry.path()));
            } else {
                found.push((path, entry.path()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Files of every package beside the binary, as in `/usr/share`: manual pages, completions, texts.
pub(super) fn share(release: &Release, binary: &Binary, licences: &str) -> Result<Tree> {
    let tree = Tree::new(release.stage.join("share"))?;
    let pages = tree.folder.join("man/man1");
    process::run(Command::new(&binary.path).arg("man").arg(&pages))?;
    for (shell, path) in COMPLETIONS {
        let printed = Command::new(&binary.path).args(["completion", shell]).output()?;
        tree.write(path, printed.stdout, PLAIN)?;
    }
    let root = &release.root;
    tree.write("doc/kvlease/THIRD-PARTY-LICENSES.txt", licences, PLAIN)?;
    tree.copy("doc/kvlease/sbom.cdx.json", &release.file("cdx.json"), PLAIN)?;
    for name in ["CHANGELOG.md", "LICENSE", "README.md"] {
        tree.copy(&format!("doc/kvlease/{name}"), &root.join(name), PLAIN)?;
    }
    Ok(tree)
}

/// Packs what is in a folder, with owners, times and order that do not depend on this machine.
pub(super) fn tar(folder: &Path, names: &[&str], to: &Path, time: u64) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]);
    tar.arg(format!("--mtime=@{time}")).arg("--directory").arg(folder);
    process::run(tar.arg("--create").arg("--file").arg(to).args(names))
}

/// Compresses each file into one with the ending `.gz` beside it.
pub(super) fn gzip(paths: &[PathBuf], level: u32) -> Result<()> {
    let options = ["--no-name", "--keep", "--force"];
    process::run(Command::new("gzip").args(options).arg(format!("-{level}")).args(paths))
}
