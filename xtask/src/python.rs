//! The Python package: built into the contract suite's environment, its types checked.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::process;

pub(crate) fn run(root: &Path) -> Result<()> {
    process::run(Command::new("python3").arg(root.join("testing/contract/package.py")))
}
