//! Workspace of the fuzz targets.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Folder of the workspace.
pub(super) const FOLDER: &str = "testing/fuzz";

/// Variables that would replace the configuration of the workspace.
const OVERRIDES: [&str; 5] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
];

/// Names of all targets.
pub(super) fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(FOLDER).join("targets");
    let files = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    let paths = files.map(|file| Ok(file?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let name = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names: Vec<String> = paths.iter().filter_map(name).collect();
    names.sort();
    ensure!(!names.is_empty(), "there are no targets in {}", folder.display());
    Ok(names)
}

/// Cargo in the workspace of the targets, with the configuration of that workspace alone.
pub(super) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root.join(FOLDER));
    for name in OVERRIDES {
        command.env_remove(name);
    }
    command
}
