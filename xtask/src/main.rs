//! The project's own commands: `cargo xtask test` and what it consists of.

#![forbid(unsafe_code)]

mod behind;
mod contract;
mod dist;
mod fuzz;
mod openapi;
mod operations;
mod packages;
mod process;
mod python;
mod steps;
mod stores;
mod tidy;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test       everything that must hold: tidy, format, lints, docs, all tests
  tidy       what the compiler does not check: sizes, words, style, links, layers, circles
  contract   the unmodified LMCache against the daemon; installs what it needs
             (arguments behind it go to pytest)
  stores     the servers that the tests of remote tiers need: installs what is not there
  python     the Python package, built into the same environment, and its types
  fuzz       [TARGET] [--runs N | --seconds N | --replay PATH]: what parses the bytes of
             others, with inputs that coverage guides; for a minute by default; --check:
             lints, and the same runs of all targets each time
  operations dashboard, alerts, Helm chart and the documents' site, with Prometheus and Helm
             themselves; installs what it needs (arguments behind it go to pytest)
  site       the documents' site, made in target/site
  dist       [--glibc VERSION] [--check]: the packages of a release, in target/dist; for an
             older C library by a build of their own; --check: installs and starts each
  openapi    rewrite crates/kvlease-api/openapi.json
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = root()?;
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("test") => steps::test(&root),
        Some("tidy") => tidy::run(&root),
        Some("contract") => contract::run(&root, &arguments.collect::<Vec<_>>()),
        Some("fuzz") => fuzz::run(&root, &arguments.collect::<Vec<_>>()),
        Some("stores") => stores::prepare(&root),
        Some("dist") => dist::run(&root, &arguments.collect::<Vec<_>>()),
        Some("python") => python::run(&root),
        Some("operations") => match &arguments.collect::<Vec<_>>()[..] {
            [only] if only == "--prepare" => operations::prepare(&root),
            arguments => operations::run(&root, arguments),
        },
        Some("site") => operations::site(&root),
        Some("openapi") => openapi::rewrite(&root),
        _ => bail!("name one of the commands\n\n{USAGE}"),
    }
}

/// The root of the workspace, wherever the command was called from.
fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask lies in the workspace")?.to_owned())
}
