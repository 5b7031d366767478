//! The Python package: built into the contract suite's environment, its types checked.

use std::{env, path::Path, process::Command};

use anyhow::Result;

use crate::process;

pub(crate) fn run(root: &Path) -> Result<()> {
    let directory = env::var_os("KVLEASE_CONTRACT_ENVIRONMENT");
    let script = root.join("testing/contract/package.py");
    process::run(Command::new("python3").arg(script).args(directory))
}
