//! Programs of the distribution that tests need.

use std::{env, process::Command};

use anyhow::{Result, bail};

use crate::process;

/// Installs a program from the package of its name, unless it is there.
pub(crate) fn ensure_installed(program: &str) -> Result<()> {
    if is_there(program) {
        return Ok(());
    }
    if !is_there("apt-get") {
        bail!(
            "install the program with your package manager (the name is Debian's), \
             package=`{program}`"
        );
    }
    process::run(Command::new("apt-get").args(["update", "-qq"]))?;
    let arguments = ["install", "-y", "-qq", "--no-install-recommends", program];
    process::run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
