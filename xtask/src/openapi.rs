//! The OpenAPI document: rewritten from the code, and held against a daemon by schemathesis.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{contract, process};

/// Rewrites the document that is checked in.
pub(crate) fn rewrite(root: &Path) -> Result<()> {
    let path = root.join("crates/kvlease-api/openapi.json");
    fs::write(&path, kvlease_api::openapi_document())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Sends a daemon what schemathesis makes from the document.
pub(crate) fn test(root: &Path) -> Result<()> {
    let script = root.join("testing/openapi/run.py");
    process::run(Command::new("python3").arg(script).env("KVLEASE_BIN", contract::daemon(root)))
}
