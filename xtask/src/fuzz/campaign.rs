//! One run of one target.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    seeds,
    workspace::{FOLDER, cargo},
};

/// The longest input, in bytes: beyond the longest line that the client takes.
const INPUT_LEN_MAX: usize = 16 << 10;

/// The most seconds for one input. A longer run is a finding.
const INPUT_SECONDS_MAX: u32 = 10;

/// The most memory of a target, in MiB. More is a finding.
const MEMORY_MIB_MAX: u32 = 1024;

/// The most of a target's last lines that are shown with a finding.
const LINES_MAX: usize = 40;

/// End of a run.
pub(super) enum Limit {
    /// After this number of inputs.
    Runs(u64),
    /// After this number of seconds.
    Seconds(u64),
    /// After this one input.
    Replay(PathBuf),
}

/// A run that is about to begin.
pub(super) struct Campaign<'a> {
    root: &'a Path,
    target: &'a str,
    /// Folders of inputs to begin with.
    seeds: Vec<PathBuf>,
    is_repeatable: bool,
}

impl<'a> Campaign<'a> {
    /// A run that goes on from where the one before ended, and shows all that the target says.
    pub(super) fn new(root: &'a Path, target: &'a str) -> Result<Self> {
        let prepared = output(root, "seeds", target)?;
        seeds::prepare(root, target, &prepared)?;
        let kept = root.join(FOLDER).join("seeds").join(target);
        let seeds = [prepared, kept].into_iter().filter(|folder| folder.is_dir()).collect();
        Ok(Self { root, target, seeds, is_repeatable: false })
    }

    /// The same each time, from the seeds alone; shows only what it came to.
    pub(super) fn repeatable(self) -> Self {
        Self { is_repeatable: true, ..self }
    }

    pub(super) fn run(&self, limit: &Limit) -> Result<()> {
        let artifacts = output(self.root, "artifacts", self.target)?;
        let mut command = cargo(self.root);
        command.args(["run", "--quiet", "--bin", self.target, "--", "-print_final_stats=1"]);
        command.arg(format!("-max_len={INPUT_LEN_MAX}"));
        command.arg(format!("-timeout={INPUT_SECONDS_MAX}"));
        command.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        match limit {
            Limit::Runs(runs) => command.arg(format!("-runs={runs}")),
            Limit::Seconds(seconds) => command.arg(format!("-max_total_time={seconds}")),
            Limit::Replay(input) => command.arg(input),
        };
        if !matches!(limit, Limit::Replay(_)) {
            command.args(self.is_repeatable.then_some("-seed=1"));
            command.arg(self.corpus()?).args(&self.seeds);
        }
        eprintln!("xtask: fuzz {}", self.target);
        let mut child = command.stderr(Stdio::piped()).spawn().context("cannot run cargo")?;
        let said = BufReader::new(child.stderr.take().context("its errors are read")?);
        let seen = self.watch(said)?;
        let is_success = child.wait()?.success();
        judge(self.target, &seen, is_success, matches!(limit, Limit::Replay(_)))
    }

    /// Folder of inputs that reached something new.
    fn corpus(&self) -> Result<PathBuf> {
        if !self.is_repeatable {
            return output(self.root, "corpus", self.target);
        }
        let scratch = output(self.root, "scratch", self.target)?;
        fs::remove_dir_all(&scratch)?;
        output(self.root, "scratch", self.target)
    }

    /// Shows the output of a target, and returns the part that decides.
    fn watch(&self, said: impl BufRead) -> Result<Seen> {
        let mut seen = Seen::default();
        for line in said.split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            // Number of runs and the coverage that they reached.
            let is_outcome = line.contains("\tDONE ");
            if !self.is_repeatable || is_outcome {
                eprintln!("{line}");
            }
            seen.is_done |= is_outcome;
            if seen.last.len() == LINES_MAX {
                seen.last.pop_front();
            }
            seen.last.push_back(line);
        }
        Ok(seen)
    }
}

/// Output of a target.
#[derive(Default)]
struct Seen {
    /// True if it came to its end.
    is_done: bool,
    /// The last lines.
    last: VecDeque<String>,
}

/// Fails with the finding, if there is one, and with how to see it again.
fn judge(target: &str, seen: &Seen, is_success: bool, is_replay: bool) -> Result<()> {
    if is_success {
        ensure!(seen.is_done || is_replay, "{target} ended without having run");
        return Ok(());
    }
    let last = seen.last.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let written = seen.last.iter().find_map(|line| line.split_once("Test unit written to "));
    let Some((_, input)) = written else { bail!("{target} failed:\n{last}") };
    bail!(
        "{last}\n{target} fails on the input {input}\n\
         replay it with: cargo xtask fuzz {target} --replay {input}"
    );
}

/// Folder of files that runs of a target leave behind.
fn output(root: &Path, kind: &str, target: &str) -> Result<PathBuf> {
    let folder = root.join("target/fuzz").join(kind).join(target);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(lines: &[&str], is_success: bool) -> String {
        let said = lines.join("\n");
        let root = crate::root().unwrap();
        let campaign = Campaign::new(&root, "lane").unwrap().repeatable();
        let seen = campaign.watch(said.as_bytes()).unwrap();
        match judge("lane", &seen, is_success, false) {
            Ok(()) => "clean".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_finding_is_told_with_the_command_that_replays_it() {
        let written = "artifact_prefix='/a/'; Test unit written to /a/crash-1";
        let told = judged(&["panicked at x", written, "Base64: "], false);
        assert!(told.contains("panicked at x"), "{told}");
        assert!(told.ends_with("cargo xtask fuzz lane --replay /a/crash-1"), "{told}");
        assert!(judged(&["no such option"], false).contains("no such option"));
    }

    #[test]
    fn a_run_that_ran_nothing_is_no_success() {
        let dictionary = [""; 2 * LINES_MAX];
        let done = [["#20000\tDONE   cov: 138"].as_slice(), &dictionary].concat();
        assert_eq!(judged(&done, true), "clean");
        assert!(judged(&["INFO: Seed: 1"], true).contains("without having run"));
    }
}
