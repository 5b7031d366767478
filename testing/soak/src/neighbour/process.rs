//! Process of a neighbour.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::{fd::AsRawFd, unix::process::CommandExt},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use kvlease_harness::until;

use super::end::ATTACKING;

/// User and group of a neighbour: `nobody`, who owns nothing.
pub const NEIGHBOUR: u32 = 65534;

/// Time of a neighbour to end by itself. If it were killed, it would leave its files behind.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Neighbour whose attack is on. It is ended on drop.
#[derive(Debug)]
pub struct Neighbour {
    process: Child,
    output: BufReader<ChildStdout>,
    first: String,
}

impl Neighbour {
    /// Starts the attack with these arguments as another user, which only root may do, and waits
    /// until it is on. The program is `kvlease-soak`.
    ///
    /// # Errors
    ///
    /// That it does not start, or is not another user.
    pub fn attack<A: Into<OsString>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Self> {
        // Its path may lead through directories that other users cannot enter.
        let program = File::open(program)?;
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.arg("neighbour").args(arguments.into_iter().map(Into::into));
        command.uid(NEIGHBOUR).gid(NEIGHBOUR).current_dir("/");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(process.stdout.take().context("its output is piped")?);
        let mut neighbour = Self { process, output, first: String::new() };
        neighbour.first = neighbour.line()?;
        ensure!(neighbour.first.starts_with(ATTACKING), "no attack, printed=`{}`", neighbour.first);
        let status = fs::read_to_string(format!("/proc/{}/status", neighbour.process.id()))?;
        let other = format!("Uid:\t{NEIGHBOUR}\t{NEIGHBOUR}\t");
        ensure!(status.contains(&other), "the neighbour is no other user:\n{status}");
        Ok(neighbour)
    }

    /// Line that it printed when the attack was on.
    pub fn first(&self) -> &str {
        &self.first
    }

    /// Next line that it prints.
    pub fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Ends the attack. Returns what the neighbour got.
    ///
    /// # Errors
    ///
    /// That it does not end, or failed.
    pub fn end(mut self) -> anyhow::Result<String> {
        drop(self.process.stdin.take());
        let ended = until(ENDS_WITHIN, || self.process.try_wait().transpose());
        let status = ended.context("the neighbour does not end")??;
        ensure!(status.success(), "the neighbour failed, status=`{status}`");
        self.line()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        if until(ENDS_WITHIN, || self.process.try_wait().transpose()).is_none() {
            // An error means that it has ended in between.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
