//! Crates whose code is in what is shipped.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{component::Component, release};

/// Chart library of the status page, which no manifest of cargo names.
const CHARTS: &str = "crates/kvlease-server/assets/uplot-1.6.32";

/// Components of the packages of these names, which are among them, in the order of their names.
pub(super) fn of(root: &Path, packages: &[&str]) -> Result<Vec<Component>> {
    let linked = linked(root, packages)?;
    let metadata = metadata(root)?;
    let described = described(&metadata)?;
    let edges = edges(&metadata)?;
    let ids: BTreeMap<_, _> = described.iter().map(|(key, crate_)| (id(crate_), key)).collect();
    let mut components = Vec::new();
    for key in &linked {
        let package = described.get(key).with_context(|| format!("metadata lacks {key:?}"))?;
        let needed = edges.get(id(package)).into_iter().flatten();
        let needed = needed.filter_map(|id| ids.get(id.as_str()).copied());
        let needs = needed.filter(|key| linked.contains(*key)).cloned().collect();
        components.push(component(package, key, needs)?);
    }
    if linked.iter().any(|(name, _)| name == "kvlease-server") {
        components.push(charts(root));
    }
    Ok(components)
}

type Key = (String, String);

/// Name and version of all crates that are linked. Macros run in the compiler alone.
fn linked(root: &Path, packages: &[&str]) -> Result<BTreeSet<Key>> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none"]);
    tree.args(["--format", "{p}", "--target", &release::target()]);
    tree.args(packages.iter().flat_map(|name| ["--package", name])).current_dir(root);
    Ok(release::output(&mut tree)?.lines().filter_map(named).collect())
}

/// A line such as `serde v1.0.229 (*)`.
fn named(line: &str) -> Option<Key> {
    let mut words = line.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    Some((name.to_owned(), version.to_owned()))
}

fn metadata(root: &Path) -> Result<Value> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked", "--filter-platform"]);
    let printed = release::output(command.arg(release::target()).current_dir(root))?;
    Ok(serde_json::from_str(&printed)?)
}

fn described(metadata: &Value) -> Result<BTreeMap<Key, &Value>> {
    let packages = metadata["packages"].as_array().context("metadata has packages")?;
    let key = |package: &Value| -> Result<Key> {
        Ok((text(package, "name")?.to_owned(), text(package, "version")?.to_owned()))
    };
    packages.iter().map(|package| Ok((key(package)?, package))).collect()
}

/// The ids that each id needs.
fn edges(metadata: &Value) -> Result<BTreeMap<String, Vec<String>>> {
    let nodes = metadata["resolve"]["nodes"].as_array().context("metadata has nodes")?;
    let needs = |node: &Value| -> Option<Vec<String>> {
        let needs = node["dependencies"].as_array()?.iter();
        needs.map(|id| id.as_str().map(str::to_owned)).collect()
    };
    nodes
        .iter()
        .map(|node| Ok((text(node, "id")?.to_owned(), needs(node).context("a node has edges")?)))
        .collect()
}

fn id(package: &Value) -> &str {
    package["id"].as_str().unwrap_or_default()
}

fn component(package: &Value, (name, version): &Key, needs: Vec<Key>) -> Result<Component> {
    let manifest = PathBuf::from(text(package, "manifest_path")?);
    Ok(Component {
        kind: "cargo",
        name: name.clone(),
        version: version.clone(),
        licence: text(package, "license")
            .with_context(|| format!("name a licence, crate=`{name}`"))?
            .to_owned(),
        folder: manifest.parent().context("a manifest is in a folder")?.to_owned(),
        is_own: package["source"].is_null(),
        needs,
    })
}

fn charts(root: &Path) -> Component {
    let (name, version) = CHARTS
        .rsplit_once('/')
        .map_or(CHARTS, |(_, last)| last)
        .split_once('-')
        .unwrap_or((CHARTS, "0"));
    Component {
        kind: "npm",
        name: name.to_owned(),
        version: version.to_owned(),
        licence: "MIT".to_owned(),
        folder: root.join(CHARTS),
        is_own: false,
        needs: Vec::new(),
    }
}

fn text<'a>(of: &'a Value, key: &str) -> Result<&'a str> {
    of[key].as_str().with_context(|| format!("cargo's metadata lacks `{key}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_tree_names_a_crate() {
        let key = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
        assert_eq!(named("serde v1.0.229"), key("serde", "1.0.229"));
        assert_eq!(named("a-b v0.1.0-rc.1 (/work/a) (*)"), key("a-b", "0.1.0-rc.1"));
        assert_eq!(named(""), None);
    }
}
