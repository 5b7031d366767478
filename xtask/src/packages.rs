//! Programs of the distribution that tests need.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::process;

/// Installs a program from the package of its name, unless it is there.
pub(crate) fn ensure_installed(program: &str) -> Result<()> {
    ensure_installed_as(program, program)
}

/// Installs a program from a package of another name, unless it is there.
pub(crate) fn ensure_installed_as(program: &str, package: &str) -> Result<()> {
    if is_there(program) {
        return Ok(());
    }
    if !is_there("apt-get") {
        bail!(
            "install the program with your package manager (the name is Debian's), \
             package=`{package}`"
        );
    }
    process::run(Command::new("apt-get").args(["update", "-qq"]))?;
    let arguments = ["install", "-y", "-qq", "--no-install-recommends", package];
    process::run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // Programs of the administrator are in folders that a user's PATH may lack.
    let system = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    env::split_paths(&path).chain(system).any(|folder| folder.join(program).is_file())
}
