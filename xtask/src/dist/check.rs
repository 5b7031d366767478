//! Installation and start of each package, in roots that have nothing else.

use anyhow::Result;

use super::{release::Release, tools::Tools};
use crate::{packages, process};

/// Runs the checks of `testing/packages`.
pub(super) fn run(release: &Release, tools: &Tools) -> Result<()> {
    packages::ensure_installed("debootstrap")?;
    let script = release.root.join("testing/packages/run.py");
    process::run(tools.command("python").arg(script).arg(&release.out))
}
