//! The contract suite: the unmodified LMCache from PyPI against the daemon.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{process, stores};

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    stores::prepare(root)?;
    process::cargo(root, &["build", "--release", "--package", "kvlease"], &[])?;
    process::run(
        Command::new("python3")
            .arg(root.join("testing/contract/run.py"))
            .arg("--quiet")
            .args(arguments)
            .env("KVLEASE_BIN", daemon(root)),
    )
}

/// The daemon that tests start.
pub(crate) fn daemon(root: &Path) -> PathBuf {
    root.join("target/release/kvlease")
}
