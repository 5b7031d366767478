//! Packages of a release, made into `target/dist`: wheel, Debian package, tarball, container image,
//! list of components, licences, checksums and release notes.

mod binary;
mod check;
mod component;
mod deb;
mod image;
mod licences;
mod notes;
mod release;
mod sbom;
mod shipped;
mod sums;
mod tarball;
mod tools;
mod tree;
mod wheel;

use std::{fs, path::Path};

use anyhow::{Result, bail};

use binary::Glibc;
use release::Release;

/// Arguments of the command.
#[derive(Default, PartialEq, Eq, Debug)]
struct Options {
    /// Build anew for this version of the C library, instead of packing the build of this machine.
    glibc: Option<Glibc>,
    /// Install and start each package.
    is_checked: bool,
}

/// Makes the packages, and installs and starts each if that is asked for.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let options = parse(arguments)?;
    let release = Release::prepare(root)?;
    let tools = tools::prepare(root, options.glibc.is_some())?;
    let binary = binary::make(&release, &tools, options.glibc)?;
    let daemon = shipped::of(root, &["kvlease"])?;
    let both = shipped::of(root, &["kvlease", "kvlease-python"])?;
    let components = release.file("cdx.json");
    fs::write(&components, sbom::document(&release, &daemon)?)?;
    let share = tree::share(&release, &binary, &licences::text(&daemon)?)?;
    deb::make(&release, &binary, &share)?;
    tarball::make(&release, &binary, &share)?;
    image::make(&release, &binary, &share)?;
    wheel::make(&release, &tools, &binary, &licences::text(&both)?, options.glibc)?;
    fs::write(release.file("release-notes.md"), notes::of(root, &release.version)?)?;
    sums::write(&release)?;
    if options.is_checked {
        check::run(&release, &tools)?;
    }
    eprintln!("xtask: packages in {}, for glibc {} or newer", release.out.display(), binary.glibc);
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--check" => options.is_checked = true,
            "--glibc" => {
                let Some(version) = rest.next() else {
                    bail!("name a version of glibc, for instance `--glibc 2.28`");
                };
                options.glibc = Some(version.parse()?);
            }
            _ => bail!("dist takes --glibc VERSION and --check, argument=`{argument}`"),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options> {
        parse(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_line_names_glibc_and_the_check() {
        let glibc = Some("2.28".parse().unwrap());
        let all = Options { glibc, is_checked: true };
        assert_eq!(parsed(&["--check", "--glibc", "2.28"]).unwrap(), all);
        assert_eq!(parsed(&[]).unwrap(), Options::default());
        for refused in [&["--glibc"][..], &["--glibc", "new"], &["--chek"]] {
            assert!(parsed(refused).is_err(), "{refused:?}");
        }
    }
}
