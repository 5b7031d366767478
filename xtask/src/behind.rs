//! Commands of this program that run behind a step. Builds of their own and downloads take the time that
//! the step's tests wait, and no more: they have the lowest priority.

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    thread::{self, JoinHandle},
    time::Instant,
};

use anyhow::{Context, Result, anyhow, ensure};

/// Commands under way, one after the other.
pub(crate) struct Behind {
    commands: JoinHandle<Result<()>>,
    /// Their output, shown only if one of them fails.
    log: PathBuf,
    started: Instant,
}

impl Behind {
    /// Starts the commands, each of which is one of `cargo xtask`.
    pub(crate) fn start(root: &Path, commands: &'static [&'static [&'static str]]) -> Result<Self> {
        let log = root.join("target/behind.log");
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let program = env::current_exe()?;
        let commands = thread::spawn(move || {
            commands.iter().try_for_each(|arguments| run(&program, arguments, &file))
        });
        Ok(Self { commands, log, started: Instant::now() })
    }

    /// Waits for the end. Fails if a command did, with what was printed until then.
    pub(crate) fn finish(self) -> Result<()> {
        let waiting = Instant::now();
        let outcome = self.commands.join().map_err(|_| anyhow!("a command panicked"))?;
        if outcome.is_err() {
            eprint!("{}", String::from_utf8_lossy(&fs::read(&self.log)?));
        }
        let (took, waited) = (self.started.elapsed().as_secs(), waiting.elapsed().as_secs());
        eprintln!("xtask: behind the step before: {took} s, {waited} s of them waited for");
        outcome
    }
}

fn run(program: &Path, arguments: &[&str], log: &File) -> Result<()> {
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(program).args(arguments);
    command.stdout(log.try_clone()?).stderr(log.try_clone()?);
    let status = command.status().context("cannot run nice")?;
    ensure!(status.success(), "failed with {status}: cargo xtask {}", arguments.join(" "));
    Ok(())
}
