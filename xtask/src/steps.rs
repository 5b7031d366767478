//! All that must hold, in the order in which a mistake is found soonest.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};

use crate::{contract, fuzz, tidy};

pub(crate) fn test(root: &Path) -> Result<()> {
    tidy::run(root)?;
    cargo(root, &["fmt", "--all", "--check"], &[])?;
    cargo(root, &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], &[])?;
    let deny = [("RUSTDOCFLAGS", "--deny warnings")];
    cargo(root, &["doc", "--workspace", "--no-deps", "--document-private-items"], &deny)?;
    cargo(root, &["build", "--release", "--package", "kvlease"], &[])?;
    // Tests that start a daemon as a process start this one.
    let daemon = contract::daemon(root).display().to_string();
    // The Python extension is loaded by an interpreter: its tests are the contract suite's.
    let tests = ["test", "--workspace", "--exclude", "kvlease-python", "--no-fail-fast"];
    cargo(root, &tests, &[("KVLEASE_BIN", &daemon)])?;
    contract::prepare(root)?;
    fuzz::check(root)?;
    contract::run(root, &[])
}

/// Runs cargo in the workspace, and says what it runs and how long it took.
pub(crate) fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let variables = environment.iter().copied();
    run(Command::new(env!("CARGO")).args(arguments).envs(variables).current_dir(root))
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    eprintln!("xtask: {shown}");
    let started = Instant::now();
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    ensure!(status.success(), "failed with {status}: {shown}");
    eprintln!("xtask: done in {} s", started.elapsed().as_secs());
    Ok(())
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
