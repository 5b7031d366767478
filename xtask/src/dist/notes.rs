//! Release notes: the section of the changelog for a version.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// The notes of the checkout's version.
pub(super) fn of(root: &Path, version: &str) -> Result<String> {
    let changelog = fs::read_to_string(root.join("CHANGELOG.md"))?;
    section(&changelog, version).with_context(|| {
        format!("CHANGELOG.md needs a section `## {version} - DATE`, version=`{version}`")
    })
}

/// The section of a version, its title as the first line.
fn section(changelog: &str, version: &str) -> Option<String> {
    let title = format!("## {version} - ");
    let mut lines = changelog.lines().skip_while(|line| !line.starts_with(&title));
    let date = lines.next()?.strip_prefix(&title)?;
    let body: Vec<_> = lines.take_while(|line| !line.starts_with("## ")).collect();
    Some(format!("# kvlease {version} ({date})\n\n{}\n", body.join("\n").trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_of_the_version_is_cut_out() {
        let changelog = "# Changelog\n\n## Unreleased\n\n## 0.20.0 - 2027-01-02\n\nnew\n\n\
                         ## 0.2.0 - 2026-11-29\n\n### Added\n\n- x\n\n## 0.1.0 - 2026-01-01\n\nold\n";
        let notes = "# kvlease 0.2.0 (2026-11-29)\n\n### Added\n\n- x\n";
        assert_eq!(section(changelog, "0.2.0").as_deref(), Some(notes));
        assert!(section(changelog, "0.1.0").unwrap().ends_with("\n\nold\n"));
        assert_eq!(section(changelog, "0.3.0"), None);
    }
}
