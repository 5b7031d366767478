//! Daemon process with a segment of its own.

use std::{
    fs::{self, File},
    net::SocketAddr,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    endpoint::Endpoint,
    launch::Launch,
    segment::Segment,
    stop,
    wait::{until, until_every},
};

/// Limit for a daemon to start, or to end, before it counts as stuck.
pub const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// Pause between two looks for the address: short, since starts are timed.
const LISTEN_POLL: Duration = Duration::from_millis(1);

/// Number of the signal in the status of a process that was killed.
pub const KILLED: i32 = 9;

/// Text between the daemon's banner and its address.
const BANNER: &str = " listening on http://";

/// Daemon process. It derefs to its [`Endpoint`]. Dropping it, also in a panic, kills the process
/// and removes the segment.
#[derive(Debug)]
pub struct Daemon {
    launch: Launch,
    // Before the segment: the process is dead before its files go.
    running: Option<Running>,
    segment: Arc<Segment>,
    logs: TempDir,
    starts: u32,
}

#[derive(Debug)]
struct Running {
    process: Child,
    /// Set once it listens.
    endpoint: Option<Endpoint>,
}

impl Daemon {
    /// Starts a daemon on a new segment and waits until the whole arena is populated.
    pub fn start(launch: Launch) -> anyhow::Result<Self> {
        let mut daemon = Self::new(launch)?;
        daemon.start_again()?;
        Ok(daemon)
    }

    /// Daemon that has not been started, with the name of a segment that does not exist.
    pub fn new(launch: Launch) -> anyhow::Result<Self> {
        Self::on(launch, Arc::new(Segment::new()))
    }

    /// The same on a segment that other daemons may have as well, one at a time.
    pub fn on(launch: Launch, segment: Arc<Segment>) -> anyhow::Result<Self> {
        let logs = TempDir::with_prefix("kvlease-log-")?;
        Ok(Self { launch, running: None, segment, logs, starts: 0 })
    }

    /// Takes this segment from the next start on.
    ///
    /// # Panics
    ///
    /// If it runs.
    pub fn take_segment(&mut self, segment: Arc<Segment>) {
        assert!(self.running.is_none(), "the daemon runs on its segment");
        self.segment = segment;
    }

    /// Settings that it is started with.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Starts the ended daemon again on the same segment.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.start_again_as(&self.launch.clone())
    }

    /// The same with other settings, for this start alone.
    pub fn start_again_as(&mut self, launch: &Launch) -> anyhow::Result<()> {
        self.spawn_as(launch)?;
        self.await_listening()?;
        let populated = until(STARTS_WITHIN, || match self.stats() {
            Ok(stats) if stats.populated < stats.capacity => None,
            outcome => Some(outcome),
        });
        populated.context("the arena is not populated")??;
        Ok(())
    }

    /// Starts the process, and waits for nothing.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        self.spawn_as(&self.launch.clone())
    }

    /// The same with other settings, for this start alone.
    pub fn spawn_as(&mut self, launch: &Launch) -> anyhow::Result<()> {
        assert!(self.running.is_none(), "the daemon runs already");
        self.starts += 1;
        let mut command = launch.command(&self.segment)?;
        command.stdout(File::create(self.output_path())?).stderr(File::create(self.log_path())?);
        let process = command.spawn().with_context(|| {
            format!("cannot start the daemon, path=`{}`", launch.binary().display())
        })?;
        self.running = Some(Running { process, endpoint: None });
        Ok(())
    }

    /// Waits until the process that was started listens.
    ///
    /// # Errors
    ///
    /// That it ended or does not listen in time, with its log.
    pub fn await_listening(&mut self) -> anyhow::Result<()> {
        let output = self.output_path();
        let running = self.running.as_mut().context("the daemon does not run")?;
        let address = until_every(LISTEN_POLL, STARTS_WITHIN, || match listening(&output) {
            Some(address) => Some(Ok(address)),
            None => running.process.try_wait().transpose().map(Err),
        });
        match address {
            Some(Ok(address)) => {
                running.endpoint = Some(Endpoint::at(address));
                Ok(())
            }
            outcome => {
                self.kill()?;
                bail!("the daemon does not serve, status=`{outcome:?}` log:\n{}", self.log())
            }
        }
    }

    /// Name and files of its segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// True while the process lives.
    pub fn is_alive(&mut self) -> anyhow::Result<bool> {
        let Some(running) = &mut self.running else { return Ok(false) };
        Ok(running.process.try_wait()?.is_none())
    }

    /// Number of the process.
    ///
    /// # Errors
    ///
    /// That it does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.process()?.id())
    }

    /// Most memory that the process ever had in bytes, the touched part of the arena included.
    pub fn memory_peak(&self) -> anyhow::Result<u64> {
        self.memory("VmHWM:")
    }

    /// Memory of the process's own in bytes, without the arena.
    pub fn memory_anonymous(&self) -> anyhow::Result<u64> {
        self.memory("RssAnon:")
    }

    fn memory(&self, field: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let value = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kib.with_context(|| format!("the status of the process has no {field}"))? << 10)
    }

    /// Standard output since the last start.
    pub fn output(&self) -> String {
        fs::read_to_string(self.output_path()).unwrap_or_default()
    }

    /// Standard error since the last start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Stops it by `SIGSTOP` and waits until all of its threads have stopped.
    pub fn stop(&self) -> anyhow::Result<()> {
        stop::stop(self.process()?).context("the daemon")
    }

    /// Lets the stopped daemon go on by `SIGCONT`.
    pub fn resume(&self) -> anyhow::Result<()> {
        stop::resume(self.process()?)
    }

    fn process(&self) -> anyhow::Result<&Child> {
        Ok(&self.running.as_ref().context("the daemon does not run")?.process)
    }

    /// Ends it by `SIGKILL`.
    pub fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        let mut running = self.running.take().context("the daemon does not run")?;
        running.process.kill()?;
        Ok(running.process.wait()?)
    }

    /// Asks it to end by `SIGTERM`, and waits for nothing.
    pub fn ask_to_end(&self) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(self.process()?), Signal::TERM)?)
    }

    /// Ends it by `SIGTERM` and waits for its end.
    ///
    /// # Errors
    ///
    /// That it does not end in time; then it is killed.
    pub fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.ask_to_end()?;
        self.wait()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    ///
    /// That it does not end in time; then it is killed.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let running = self.running.as_mut().context("the daemon does not run")?;
        let status = until(STARTS_WITHIN, || running.process.try_wait().transpose());
        if status.is_none() {
            self.kill()?;
        }
        self.running = None;
        Ok(status.context("the daemon did not end in time")??)
    }

    fn output_path(&self) -> PathBuf {
        self.logs.path().join(format!("{}.out", self.starts))
    }

    fn log_path(&self) -> PathBuf {
        self.logs.path().join(format!("{}.err", self.starts))
    }
}

impl Deref for Daemon {
    type Target = Endpoint;

    /// # Panics
    ///
    /// If it does not run, or does not listen yet.
    fn deref(&self) -> &Endpoint {
        let running = self.running.as_ref();
        let endpoint = running.and_then(|running| running.endpoint.as_ref());
        endpoint.expect("calls go to a daemon that listens")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It runs only if something failed before: killing it is all that can be done.
        let _ = self.kill();
    }
}

/// Address in the first line that a daemon prints, once that line is whole.
fn listening(path: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(path).ok()?;
    let (first, _) = text.split_once('\n')?;
    first.split_once(BANNER)?.1.parse().ok()
}
