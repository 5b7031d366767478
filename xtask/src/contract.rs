//! The contract suite: the unmodified LMCache from PyPI against the daemon.

use std::{
    env,
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

/// Gets what the suite needs and is not there: Debian packages, and packages of Python.
pub(crate) fn prepare(root: &Path) -> Result<()> {
    let directory = env::var_os("KVLEASE_CONTRACT_ENVIRONMENT");
    let script = root.join("testing/contract/environment.py");
    process::run(Command::new("python3").arg(script).args(directory))
}

/// The daemon that tests start.
pub(crate) fn daemon(root: &Path) -> PathBuf {
    root.join("target/release/kvlease")
}
