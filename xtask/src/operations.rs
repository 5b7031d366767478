//! Operators' files: dashboard, alerts, Helm chart, overlay and the documents' site, held against the real
//! Prometheus, Helm, kustomize and Sphinx.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::{contract, packages, process};

/// Runs the tests; arguments go to pytest.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    prepare(root)?;
    let mut tests = script(root);
    tests.arg("--quiet").args(arguments).env("KVLEASE_BIN", contract::daemon(root));
    process::run(&mut tests)
}

/// Gets the programs that are not there.
pub(crate) fn prepare(root: &Path) -> Result<()> {
    for program in ["prometheus", "tmux"] {
        packages::ensure_installed(program)?;
    }
    process::run(script(root).arg("--prepare"))
}

/// Makes the documents' site in `target/site`.
pub(crate) fn site(root: &Path) -> Result<()> {
    process::run(script(root).arg("--site").arg(root.join("target/site")))
}

fn script(root: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg(root.join("testing/operations/run.py"));
    command
}
