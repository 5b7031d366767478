//! Fuzzing, guided by coverage, of all parsers of foreign bytes: the workspace in `testing/fuzz`,
//! whose own configuration has the flags by which the stable compiler instruments it.

mod campaign;
mod seeds;
mod workspace;

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

use crate::process;
use campaign::{Campaign, Limit};
use workspace::{cargo, targets};

/// Runs of each target by [`check`]: a matter of seconds.
const RUNS: u64 = 20_000;

/// Seconds that [`run`] spends on each target by default.
const SECONDS: u64 = 60;

/// Looks for mistakes in the workspace, and runs every target for a while that is the same each
/// time: from the seeds alone, and with the same draws.
fn check(root: &Path) -> Result<()> {
    process::run(cargo(root).args(["fmt", "--check"]))?;
    process::run(cargo(root).args(["clippy", "--all-targets", "--", "--deny", "warnings"]))?;
    process::run(cargo(root).args(["build", "--bins"]))?;
    for target in targets(root)? {
        Campaign::new(root, &target)?.repeatable().run(&Limit::Runs(RUNS))?;
    }
    Ok(())
}

/// Runs the target that the arguments name, or all of them, one after the other.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    if arguments == ["--check"] {
        return check(root);
    }
    let (named, options) = match arguments.split_first() {
        Some((target, options)) if !target.starts_with("--") => (Some(target), options),
        _ => (None, arguments),
    };
    let limit = limit(options)?;
    let all = targets(root)?;
    if let Some(target) = named {
        let known = all.join("`, `");
        ensure!(all.contains(target), "no such target: take one of `{known}`, target=`{target}`");
        return Campaign::new(root, target)?.run(&limit);
    }
    ensure!(!matches!(limit, Limit::Replay(_)), "name the target that the input is for");
    all.iter().try_for_each(|target| Campaign::new(root, target)?.run(&limit))
}

fn limit(options: &[String]) -> Result<Limit> {
    let number = |text: &str| {
        text.parse().ok().with_context(|| format!("write a whole number, value=`{text}`"))
    };
    Ok(match options {
        [] => Limit::Seconds(SECONDS),
        [option, value] if option == "--runs" => Limit::Runs(number(value)?),
        [option, value] if option == "--seconds" => Limit::Seconds(number(value)?),
        [option, value] if option == "--replay" => {
            let input = fs::canonicalize(value);
            Limit::Replay(input.with_context(|| format!("cannot read the input, path=`{value}`"))?)
        }
        _ => bail!("write one of `--runs N`, `--seconds N`, `--replay PATH` and `--check` alone"),
    })
}

#[cfg(test)]
mod tests {
    use super::{workspace::FOLDER, *};

    #[test]
    fn every_target_is_one_of_the_workspace() {
        let root = crate::root().unwrap();
        let manifest = fs::read_to_string(root.join(FOLDER).join("Cargo.toml")).unwrap();
        let targets = targets(&root).unwrap();
        for target in &targets {
            assert!(manifest.contains(&format!("name = \"{target}\"\n")), "{target}");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
    }

    #[test]
    fn arguments_that_mean_nothing_are_refused() {
        let root = crate::root().unwrap();
        for (arguments, reason) in [
            (vec!["nothing"], "no such target"),
            (vec!["lane", "--runs"], "write one of"),
            (vec!["--seconds", "long"], "value=`long`"),
            (vec!["lane", "--replay", "no/such/file"], "path=`no/such/file`"),
            (vec!["--replay", "Cargo.toml"], "name the target"),
        ] {
            let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
            let error = run(&root, &arguments).unwrap_err().to_string();
            assert!(error.contains(reason), "{arguments:?}: {error}");
        }
    }
}
