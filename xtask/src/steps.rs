//! All that must hold, in the order in which a mistake is found soonest.

use std::path::Path;

use anyhow::Result;

use crate::{behind::Behind, contract, openapi, operations, packages, process::cargo, tidy};

/// Tools of the steps after the tests, packages, and campaigns that need no processor of their own.
const BEHIND: &[&[&str]] = &[
    &["stores"],
    &["operations", "--prepare"],
    &["python"],
    &["dist", "--check"],
    &["fuzz", "--check"],
];

pub(crate) fn test(root: &Path) -> Result<()> {
    tidy::run(root)?;
    cargo(root, &["fmt", "--all", "--check"], &[])?;
    cargo(root, &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], &[])?;
    let deny = [("RUSTDOCFLAGS", "--deny warnings")];
    cargo(root, &["doc", "--workspace", "--no-deps", "--document-private-items"], &deny)?;
    cargo(root, &["build", "--release", "--package", "kvlease"], &[])?;
    // The terminal of the tests of `kvlease top`.
    packages::ensure_installed("tmux")?;
    // Tests that start a daemon as a process start this one.
    let daemon = contract::daemon(root).display().to_string();
    // The Python extension is loaded by an interpreter: its tests are the contract suite's.
    let tests = ["test", "--workspace", "--exclude", "kvlease-python"];
    let all_but_stores = ["--no-fail-fast", "--", "--skip", "real_store::"];
    let behind = Behind::start(root, BEHIND)?;
    let tested = cargo(root, &[&tests[..], &all_but_stores].concat(), &[("KVLEASE_BIN", &daemon)]);
    behind.finish()?;
    tested?;
    // These wait for servers most of the time.
    let stores = ["--no-fail-fast", "--test", "stores", "--", "--test-threads", "8"];
    cargo(root, &[&tests[..], &stores].concat(), &[])?;
    openapi::test(root)?;
    operations::run(root, &[])?;
    contract::run(root, &[])
}
