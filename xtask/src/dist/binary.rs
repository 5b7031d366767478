//! The binary that all packages have, and the C library that it needs.

use std::{fmt, path::Path, path::PathBuf, process::Command, str::FromStr};

use anyhow::{Context, Error, Result};

use super::{
    release::{self, Release},
    tools::Tools,
};
use crate::{contract, process};

/// Version of the GNU C library.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Glibc {
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl FromStr for Glibc {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('.').and_then(|(major, minor)| {
            Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
        });
        parts.with_context(|| {
            format!("a version of glibc is two numbers, as in `2.28`, glibc=`{text}`")
        })
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}.{}", self.major, self.minor)
    }
}

/// The command `kvlease` as it is shipped.
pub(super) struct Binary {
    pub(super) path: PathBuf,
    /// The oldest C library that it runs with.
    pub(super) glibc: Glibc,
}

/// Builds the binary, and leaves out what a debugger alone reads. Names of functions stay, for
/// backtraces in reports.
pub(super) fn make(release: &Release, tools: &Tools, glibc: Option<Glibc>) -> Result<Binary> {
    let built = match glibc {
        None => build_here(&release.root)?,
        Some(glibc) => build_with_zig(&release.root, tools, glibc)?,
    };
    let path = release.stage.join("kvlease");
    let strip = ["--strip-debug", "--output-file"];
    process::run(Command::new("strip").args(strip).arg(&path).arg(built))?;
    let glibc = needed_by(&path)?;
    Ok(Binary { path, glibc })
}

/// The build that the tests have made, if they ran before.
fn build_here(root: &Path) -> Result<PathBuf> {
    process::cargo(root, &["build", "--release", "--locked", "--package", "kvlease"], &[])?;
    Ok(contract::daemon(root))
}

/// A build with zig as the linker, which has the symbols of every version of glibc.
fn build_with_zig(root: &Path, tools: &Tools, glibc: Glibc) -> Result<PathBuf> {
    let target = release::target();
    let mut command = tools.command("cargo-zigbuild");
    command.args(["zigbuild", "--release", "--locked", "--package", "kvlease", "--target"]);
    process::run(command.arg(format!("{target}.{glibc}")).current_dir(root))?;
    Ok(root.join("target").join(target).join("release/kvlease"))
}

fn needed_by(path: &Path) -> Result<Glibc> {
    let versions = ["--version-info", "--wide"];
    let listed = release::output(Command::new("readelf").args(versions).arg(path))?;
    newest(&listed).with_context(|| format!("{} needs no glibc", path.display()))
}

/// The newest version in a listing of `readelf`. Names such as `GLIBC_PRIVATE` are no versions.
fn newest(listed: &str) -> Option<Glibc> {
    let names = listed.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_"));
    // `2.2.5` is older than every version that Rust supports.
    names.filter_map(|name| name.parse().ok()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_compared_by_number() {
        let listed = "\
            0x0010: Version: 1  File: libc.so.6  Cnt: 5\n\
            0x0020:   Name: GLIBC_2.9  Flags: none  Version: 6\n\
            0x0030:   Name: GLIBC_2.34  Flags: none  Version: 5\n\
            0x0040:   Name: GLIBC_2.2.5  Flags: none  Version: 4\n\
            0x0050:   Name: GLIBC_PRIVATE  Flags: none  Version: 3\n\
            0x0060:   Name: GCC_3.0  Flags: none  Version: 2\n";
        assert_eq!(newest(listed), Some(Glibc { major: 2, minor: 34 }));
        assert_eq!(newest("Name: GCC_3.0"), None);
    }
}
