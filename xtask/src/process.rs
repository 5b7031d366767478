//! Commands that the steps run, shown before they start.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};

/// Runs cargo in the workspace, and shows what it runs and how long it took.
pub(crate) fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let variables = environment.iter().copied();
    run(Command::new(env!("CARGO")).args(arguments).envs(variables).current_dir(root))
}

/// Runs a command to its end; fails if it does.
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
