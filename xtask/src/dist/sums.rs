//! Checksums of the packages, as `sha256sum --check` reads them.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use super::release::Release;

const FILE: &str = "SHA256SUMS";

/// Writes the checksums of all files of the release.
pub(super) fn write(release: &Release) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(&release.out)? {
        names.push(entry?.file_name().into_string().ok().context("names are UTF-8")?);
    }
    names.sort();
    let mut text = String::new();
    for name in names {
        writeln!(text, "{}  {name}", of_file(&release.out.join(&name))?)?;
    }
    Ok(fs::write(release.out.join(FILE), text)?)
}

/// The SHA-256 of a file, in hex.
pub(super) fn of_file(path: &Path) -> Result<String> {
    Ok(of(&fs::read(path).with_context(|| format!("cannot read {}", path.display()))?))
}

/// The SHA-256 of bytes, in hex.
pub(super) fn of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sum_is_that_of_sha256sum() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(super::of(b""), empty);
    }
}
