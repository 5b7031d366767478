//! Licences of what is shipped: the texts of all components, each text once.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::component::Component;

/// Licences under which a component may be shipped. All of them are permissive.
const ALLOWED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "OFL-1.1",
    "Ubuntu-font-1.0",
    "Unicode-3.0",
    "Zlib",
];

/// Beginnings of the names of files that have licences, in lower case.
const FILES: [&str; 8] =
    ["copying", "copyright", "licence", "license", "notice", "ofl", "ufl", "unlicense"];

/// Text of the Apache License, which is the same for all: some crates have no file with it.
const APACHE: &str = include_str!("../../../LICENSE");

const RULE: &str = "================================================================";

/// All licences of the components that are not of this project.
pub(super) fn text(components: &[Component]) -> Result<String> {
    let foreign: Vec<_> = components.iter().filter(|component| !component.is_own).collect();
    let mut text = String::from(
        "Licences of the libraries in kvlease. kvlease itself is under the Apache License 2.0.\n\
         The standard library of Rust is under MIT or Apache-2.0: \
         https://www.rust-lang.org/policies/licenses\n\n",
    );
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for component in foreign {
        let Component { name, version, licence, .. } = component;
        let title = format!("{name} {version}");
        ensure!(
            is_allowed(licence),
            "take another library, or allow the licence in dist/licences.rs, \
             crate=`{title}` licence=`{licence}`"
        );
        writeln!(text, "{title}: {licence}")?;
        for words in texts(component)? {
            users.entry(words).or_default().push(title.clone());
        }
    }
    for (words, users) in users {
        write!(text, "\n{RULE}\nOf {}:\n\n{}\n", users.join(", "), words)?;
    }
    Ok(text)
}

/// Whether one side of each `OR` has nothing but allowed licences.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ");
    // Each part of an outer `AND` holds; none of the expressions nests deeper.
    plain.split(") AND ").all(|part| {
        let part = part.replace(['(', ')'], "");
        part.split(" OR ").any(|choice| {
            let terms = choice.split(" AND ");
            terms.map(without_exception).all(|licence| ALLOWED.contains(&licence))
        })
    })
}

/// An exception gives more rights.
fn without_exception(term: &str) -> &str {
    term.split(" WITH ").next().unwrap_or(term).trim()
}

fn texts(component: &Component) -> Result<Vec<String>> {
    let mut found = Vec::new();
    collect(&component.folder, 1, &mut found)?;
    found.sort();
    let Component { name, version, licence, .. } = component;
    if found.is_empty() && licence == "Apache-2.0" {
        return Ok(vec![APACHE.trim().to_owned()]);
    }
    ensure!(!found.is_empty(), "there is no file with its licence, crate=`{name} {version}`");
    let read = |path: &PathBuf| {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).replace('\r', "").trim().to_owned())
    };
    found.iter().map(read).collect()
}

/// Files with licences in a folder and in those within it, to a depth.
fn collect(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let kind = entry.file_type()?;
        if kind.is_file() && FILES.iter().any(|beginning| name.starts_with(beginning)) {
            found.push(entry.path());
        } else if kind.is_dir() && depth > 0 {
            collect(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_allowed_by_one_side_and_a_sum_by_all_parts() {
        let right = [
            "MIT",
            "MIT/Apache-2.0",
            "Unlicense OR MIT",
            "GPL-2.0-only OR MIT",
            "Apache-2.0 AND ISC",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "(MIT OR Apache-2.0) AND OFL-1.1 AND Ubuntu-font-1.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
        ];
        let wrong = [
            "",
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(MIT OR Apache-2.0) AND GPL-3.0-only",
            "MPL-2.0 OR GPL-3.0-only",
        ];
        for expression in right {
            assert!(is_allowed(expression), "{expression}");
        }
        for expression in wrong {
            assert!(!is_allowed(expression), "{expression}");
        }
    }
}
