//! Which crate uses which: ARCHITECTURE.md says it in a table, cargo knows it.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The crates of the workspace, each with those of our own that it uses.
pub(super) type Layers = BTreeMap<String, Vec<String>>;

pub(super) fn complaints(architecture: &str, actual: &Layers) -> Vec<String> {
    let allowed = table(architecture);
    let mut complaints = Vec::new();
    for (package, uses) in actual {
        let Some(may_use) = allowed.get(package) else {
            complaints.push(format!("ARCHITECTURE.md: the table of crates lacks {package}"));
            continue;
        };
        for used in uses.iter().filter(|used| !may_use.contains(used)) {
            complaints.push(format!("{package} uses {used}, which ARCHITECTURE.md does not allow"));
        }
        for unused in may_use.iter().filter(|may| !uses.contains(may)) {
            complaints.push(format!("{package} does not use {unused}: ARCHITECTURE.md says so"));
        }
    }
    for gone in allowed.keys().filter(|package| !actual.contains_key(*package)) {
        complaints.push(format!("ARCHITECTURE.md: there is no crate {gone}"));
    }
    complaints
}

/// Reads the rows of the table whose first cell is a crate's name in backquotes: name,
/// responsibility, our crates that it uses.
fn table(architecture: &str) -> Layers {
    let rows = architecture.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
        let [name, _, uses, ..] = cells.as_slice() else { return None };
        let uses = uses.split(',').map(|name| name.trim().trim_matches('`'));
        let uses = uses.filter(|name| !name.is_empty() && *name != "-").map(str::to_owned);
        Some((name.trim_end_matches('`').to_owned(), uses.collect()))
    });
    rows.collect()
}

/// The workspace as cargo knows it.
pub(super) struct Workspace {
    pub(super) layers: Layers,
    /// Root files of all libraries and programs.
    pub(super) roots: Vec<String>,
}

/// Asks cargo.
pub(super) fn metadata(root: &Path) -> Result<Workspace> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    Ok(Workspace {
        layers: packages.iter().filter_map(|package| layer(package, &names)).collect(),
        roots: packages.iter().flat_map(|package| roots(root, package)).collect(),
    })
}

/// Root files of a package's libraries and programs; tests and benchmarks are left out.
fn roots(root: &Path, package: &Value) -> Vec<String> {
    let targets = package["targets"].as_array().into_iter().flatten();
    let production = targets.filter(|target| {
        let kinds = target["kind"].as_array().into_iter().flatten();
        kinds.filter_map(Value::as_str).any(|kind| kind == "bin" || kind.ends_with("lib"))
    });
    let paths = production.filter_map(|target| target["src_path"].as_str());
    paths
        .filter_map(|path| Some(Path::new(path).strip_prefix(root).ok()?.to_str()?.into()))
        .collect()
}

fn layer(package: &Value, ours: &[&str]) -> Option<(String, Vec<String>)> {
    let name = package["name"].as_str()?.to_owned();
    let dependencies = package["dependencies"].as_array()?.iter();
    // Tests may reach further than the code that they test.
    let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
    let used = normal.filter_map(|dependency| dependency["name"].as_str());
    let mut used: Vec<_> = used.filter(|name| ours.contains(name)).map(str::to_owned).collect();
    used.sort();
    Some((name, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(rows: &[(&str, &[&str])]) -> Layers {
        let row = |(name, uses): &(&str, &[&str])| {
            ((*name).to_owned(), uses.iter().map(|used| (*used).to_owned()).collect())
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn the_table_and_the_crates_must_agree() {
        let text = "| crate | does | uses |\n| `a` | things | - |\n| `b` | more | `a` |\n";
        assert!(complaints(text, &layers(&[("a", &[]), ("b", &["a"])])).is_empty());
        assert_eq!(complaints(text, &layers(&[("a", &["b"]), ("b", &["a"])])).len(), 1);
        assert_eq!(complaints(text, &layers(&[("a", &[]), ("b", &[])])).len(), 1);
        assert_eq!(complaints(text, &layers(&[("a", &[]), ("b", &["a"]), ("c", &[])])).len(), 1);
        assert_eq!(complaints(text, &layers(&[("b", &["a"])])).len(), 1);
    }
}
