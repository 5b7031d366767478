//! The Debian package: binary, units of systemd, system user, configuration, manual pages, completions.

use std::{fmt::Write as _, fs, process::Command};

use anyhow::{Context, Result, ensure};

use super::{
    binary::Binary,
    release::{self, Release},
    tree::{self, PLAIN, PROGRAM, Tree},
};
use crate::process;

const UNITS: [&str; 2] = ["kvlease.service", "kvlease.socket"];
const SCRIPTS: [&str; 3] = ["postinst", "postrm", "prerm"];

/// Where the unit of the checkout has the binary, and where the package puts it.
const UNIT_BINARY: &str = "/usr/local/bin/kvlease";
const BINARY: &str = "/usr/bin/kvlease";

/// Level of compression of manual pages, as Debian wants it.
const LEVEL: u32 = 9;

/// Builds the package with dpkg-deb.
pub(super) fn make(release: &Release, binary: &Binary, share: &Tree) -> Result<()> {
    let deb = Tree::new(release.stage.join("deb"))?;
    let packaging = release.root.join("packaging");
    deb.copy("usr/bin/kvlease", &binary.path, PROGRAM)?;
    deb.copy("etc/kvlease.toml", &packaging.join("kvlease.toml"), PLAIN)?;
    for unit in UNITS {
        let text = fs::read_to_string(release.root.join("examples/systemd").join(unit))?;
        deb.write(&format!("usr/lib/systemd/system/{unit}"), installed(unit, &text)?, PLAIN)?;
    }
    add_share(&deb, share)?;
    deb.copy("usr/share/doc/kvlease/copyright", &packaging.join("deb/copyright"), PLAIN)?;
    for script in SCRIPTS {
        deb.copy(&format!("DEBIAN/{script}"), &packaging.join("deb").join(script), PROGRAM)?;
    }
    deb.write("DEBIAN/conffiles", "/etc/kvlease.toml\n", PLAIN)?;
    let (sums, size) = content(&deb)?;
    deb.write("DEBIAN/md5sums", sums, PLAIN)?;
    deb.write("DEBIAN/control", control(release, binary, size, &packaging)?, PLAIN)?;
    let name = format!("kvlease_{}_{}.deb", release.version, release::architecture()?);
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "-Zxz", "--build"]);
    build.env("SOURCE_DATE_EPOCH", release.time.to_string());
    process::run(build.arg(&deb.folder).arg(release.out.join(name)))
}

/// A unit with the package's path of the binary.
fn installed(unit: &str, text: &str) -> Result<String> {
    ensure!(
        unit.ends_with(".socket") || text.contains(UNIT_BINARY),
        "the unit names another binary than the package replaces, unit=`{unit}`"
    );
    Ok(text.replace(UNIT_BINARY, BINARY))
}

/// Manual pages and the changelog are compressed. The licence is one that every system has.
fn add_share(deb: &Tree, share: &Tree) -> Result<()> {
    let mut packed = Vec::new();
    for (inside, file) in tree::files(&share.folder)? {
        if inside == "doc/kvlease/LICENSE" {
            continue;
        }
        let path = format!("usr/share/{inside}");
        deb.copy(&path, &file, PLAIN)?;
        if inside.starts_with("man/") || inside == "doc/kvlease/CHANGELOG.md" {
            packed.push(deb.folder.join(path));
        }
    }
    tree::gzip(&packed, LEVEL)?;
    packed.iter().try_for_each(fs::remove_file)?;
    Ok(())
}

/// The lines of `md5sums`, and the size of all files in KiB.
fn content(deb: &Tree) -> Result<(String, u64)> {
    let (mut sums, mut size) = (String::new(), 0);
    for (inside, file) in tree::files(&deb.folder)? {
        if inside.starts_with("DEBIAN/") {
            continue;
        }
        size += fs::metadata(&file)?.len().div_ceil(1024);
        // Configuration is the administrator's.
        if !inside.starts_with("etc/") {
            let printed = release::output(Command::new("md5sum").arg(&file))?;
            let sum = printed.split(' ').next().context("md5sum prints a sum")?;
            writeln!(sums, "{sum}  {inside}")?;
        }
    }
    Ok((sums, size))
}

fn control(
    release: &Release,
    binary: &Binary,
    size: u64,
    packaging: &std::path::Path,
) -> Result<String> {
    let text = fs::read_to_string(packaging.join("deb/control"))?;
    Ok(text
        .replace("@VERSION@", &release.version)
        .replace("@ARCHITECTURE@", release::architecture()?)
        .replace("@GLIBC@", &binary.glibc.to_string())
        .replace("@SIZE@", &size.to_string()))
}
