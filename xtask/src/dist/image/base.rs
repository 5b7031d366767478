//! The image's base: the C library that the binary is linked with, and the certificates of the
//! authorities that it trusts, out of this distribution's packages. There is no shell.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    dist::{
        release::{self, Release},
        tree::{self, PLAIN, Tree},
    },
    process,
};

/// Name of the base in the image's history.
pub(super) const BASE: &str = "C library and certificates";

/// Packages of the base, in the order in which they are unpacked.
const PACKAGES: [&str; 4] = ["base-files", "libc6", "libgcc-s1", "ca-certificates"];

/// Files of these packages that nothing in the image reads.
const LEFT_OUT: [&str; 7] = [
    "etc/update-motd.d",
    "usr/sbin",
    "usr/share/base-files",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/lib/x86_64-linux-gnu/gconv",
];

const CERTIFICATES: &str = "usr/share/ca-certificates";

/// The unpacked base.
pub(super) struct Base {
    pub(super) folder: PathBuf,
}

impl Base {
    /// Fetches the packages and unpacks them, with what a scanner reads to name them.
    pub(super) fn unpack(release: &Release) -> Result<Self> {
        let packages = fetched(release)?;
        let base = Tree::new(release.stage.join("image-base"))?;
        for package in &packages {
            process::run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&base.folder))?;
            let fields = release::output(Command::new("dpkg-deb").arg("--field").arg(package))?;
            let name = fields.lines().find_map(|line| line.strip_prefix("Package: "));
            let name = name.context("a package has a name")?;
            base.write(&format!("var/lib/dpkg/status.d/{name}"), fields.clone() + "\n", PLAIN)?;
        }
        for path in LEFT_OUT.map(|path| base.folder.join(path)) {
            if path.exists() {
                fs::remove_dir_all(path)?;
            }
        }
        base.write("etc/ssl/certs/ca-certificates.crt", authorities(&base.folder)?, PLAIN)?;
        Ok(Self { folder: base.folder })
    }
}

/// The packages' files. The one with the copyright of libgcc has a version in its name.
fn fetched(release: &Release) -> Result<Vec<PathBuf>> {
    let folder = Tree::new(release.stage.join("image-packages"))?.folder;
    fetch(&folder, &PACKAGES)?;
    let libgcc = package(&folder, "libgcc-s1")?;
    let depends = ["--field"];
    let depends =
        release::output(Command::new("dpkg-deb").args(depends).arg(&libgcc).arg("Depends"))?;
    let gcc = depends.split([',', ' ']).find(|word| word.starts_with("gcc-"));
    let gcc = gcc.context("libgcc-s1 depends on a base of gcc")?;
    fetch(&folder, &[gcc])?;
    PACKAGES.iter().chain([&gcc]).map(|name| package(&folder, name)).collect()
}

fn fetch(folder: &Path, names: &[&str]) -> Result<()> {
    let download = || {
        let mut apt = Command::new("apt-get");
        apt.args(["download", "-qq", "-o", "APT::Sandbox::User=root"]).args(names);
        process::run(apt.current_dir(folder))
    };
    // The list of packages may be missing, or older than the archive.
    download().or_else(|_| {
        process::run(Command::new("apt-get").args(["update", "-qq"]))?;
        download()
    })
}

fn package(folder: &Path, name: &str) -> Result<PathBuf> {
    let beginning = format!("{name}_");
    let found = tree::files(folder)?.into_iter().find(|(file, _)| file.starts_with(&beginning));
    let (_, path) = found.with_context(|| format!("apt-get fetched no package, name=`{name}`"))?;
    Ok(path)
}

/// All certificates in one file, where TLS libraries look for it.
fn authorities(base: &Path) -> Result<String> {
    let mut all = String::new();
    for (_, file) in tree::files(&base.join(CERTIFICATES))? {
        let certificate = fs::read_to_string(file)?;
        all.push_str(certificate.trim_end());
        all.push('\n');
    }
    Ok(all)
}
