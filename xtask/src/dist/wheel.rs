//! The wheel: the Python package, with the command `kvlease` beside it.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{
    binary::{Binary, Glibc},
    release::{self, Release},
    tools::Tools,
    tree::{self, PLAIN, PROGRAM, Tree},
};
use crate::process;

/// Builds the wheel for the C library that the binary needs, and has auditwheel check it.
pub(super) fn make(
    release: &Release,
    tools: &Tools,
    binary: &Binary,
    licences: &str,
    glibc: Option<Glibc>,
) -> Result<()> {
    let data = data(release, binary, licences)?;
    let components = release.file("cdx.json");
    let mut options = vec![
        format!("--compatibility {}", tag(binary.glibc)),
        format!("--sbom-include {}", components.display()),
    ];
    if glibc.is_some() {
        options.push(format!("--zig --target {}", release::target()));
    }
    let mut pip = tools.command("python");
    pip.args(["-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]);
    pip.args(["--no-index", "--no-build-isolation", "--wheel-dir"]).arg(&release.out);
    pip.env("KVLEASE_WHEEL_DATA", &data.folder);
    // SOURCE_DATE_EPOCH is left alone: ring's build follows it, and all that needs ring would be built
    // anew. maturin gives all files of a wheel one time anyway.
    pip.env("MATURIN_PEP517_ARGS", options.join(" "));
    if env::var_os("CARGO_TARGET_DIR").is_none() {
        pip.env("CARGO_TARGET_DIR", release.root.join("target"));
    }
    process::run(pip.arg(&release.root))?;
    audit(tools, &wheel(release)?, &tag(binary.glibc))
}

/// Files that pip puts into the environment's folders: the command, its manual pages, licences.
fn data(release: &Release, binary: &Binary, licences: &str) -> Result<Tree> {
    let data = Tree::new(release.stage.join("wheel-data"))?;
    data.copy("scripts/kvlease", &binary.path, PROGRAM)?;
    data.copy_all("data/share/man", &release.stage.join("share/man"))?;
    data.write("data/share/doc/kvlease/THIRD-PARTY-LICENSES.txt", licences, PLAIN)?;
    Ok(data)
}

/// The platform's tag of PEP 600.
fn tag(glibc: Glibc) -> String {
    format!("manylinux_{}_{}", glibc.major, glibc.minor)
}

/// The one wheel of the release.
fn wheel(release: &Release) -> Result<PathBuf> {
    let files = tree::files(&release.out)?;
    let mut wheels = files.into_iter().filter(|(name, _)| name.ends_with(".whl"));
    let (name, path) = wheels.next().context("pip has made no wheel")?;
    ensure!(wheels.next().is_none(), "pip has made more than one wheel");
    ensure!(name.contains("-cp311-abi3-"), "one wheel serves all CPythons, wheel=`{name}`");
    Ok(path)
}

/// Fails unless auditwheel finds that all programs and libraries in the wheel keep to the tag.
fn audit(tools: &Tools, wheel: &Path, tag: &str) -> Result<()> {
    let shown = release::output(tools.command("auditwheel").arg("show").arg(wheel))?;
    let wanted = format!("{tag}_{}", env::consts::ARCH);
    // The report breaks its lines at any blank.
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(
        words.contains("consistent with the following platform tag") && words.contains(&wanted),
        "auditwheel does not find the wheel to be {wanted}: {shown}"
    );
    eprintln!("xtask: auditwheel finds {wanted}");
    Ok(())
}
