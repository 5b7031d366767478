//! The list of components (SBOM) of the binary, in CycloneDX 1.5.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    component::{self, Component},
    release::Release,
};

/// The document of the components, of which `kvlease` is the subject.
pub(super) fn document(release: &Release, components: &[Component]) -> Result<String> {
    let is_subject = |component: &&Component| component.is_own && component.name == "kvlease";
    let subject = components.iter().find(is_subject).context("the components lack kvlease")?;
    let others = components.iter().filter(|component| !is_subject(component));
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": release.time_text()?,
            "component": described(subject, "application"),
        },
        "components": others.map(|other| described(other, "library")).collect::<Vec<_>>(),
        "dependencies": components.iter().map(dependencies).collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&document)?)
}

fn described(component: &Component, kind: &str) -> Value {
    json!({
        "type": kind,
        "bom-ref": component.url(),
        "name": component.name,
        "version": component.version,
        "purl": component.url(),
        // Older manifests write a stroke for `OR`.
        "licenses": [{ "expression": component.licence.replace('/', " OR ") }],
    })
}

fn dependencies(component: &Component) -> Value {
    let needs = component.needs.iter();
    let urls = needs.map(|(name, version)| component::url("cargo", name, version));
    json!({ "ref": component.url(), "dependsOn": urls.collect::<Vec<_>>() })
}
