//! Programs from PyPI that make packages: maturin, auditwheel and, for old C libraries, zig.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{packages, process};

/// Folder of the pinned versions.
const REQUIREMENTS: &str = "testing/packages";

/// Environment with the programs.
pub(super) struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Command of a program of the environment, which finds the others there too.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        command.env("PATH", self.path());
        command
    }

    fn path(&self) -> OsString {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let mut path = OsString::from(&self.folder);
        path.push(":");
        path.push(inherited);
        path
    }
}

/// Installs the programs that are not there, at pinned versions.
pub(super) fn prepare(root: &Path, needs_zig: bool) -> Result<Tools> {
    packages::ensure_installed_as("strip", "binutils")?;
    let environment = root.join("target/dist-environment");
    let tools = Tools { folder: environment.join("bin") };
    install(root, &environment, &tools, "requirements.txt")?;
    if needs_zig {
        install(root, &environment, &tools, "requirements-zig.txt")?;
    }
    Ok(tools)
}

fn install(root: &Path, environment: &Path, tools: &Tools, file: &str) -> Result<()> {
    let path = root.join(REQUIREMENTS).join(file);
    let wanted =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let stamp = environment.join(format!("{file}.stamp"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if !tools.folder.exists() {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
    }
    let install = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-r"];
    process::run(tools.command("python").args(install).arg(path))?;
    Ok(fs::write(stamp, wanted)?)
}
