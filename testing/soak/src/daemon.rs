//! A daemon process with a segment of its own.

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use kvlease_client::{ByteSize, ListReply, StatsReply};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::{
    segment::Segment,
    wait::{until, until_every},
    wire::{Connection, Reply, object},
};

/// How long a daemon may take to start, or to end, before it counts as stuck.
pub const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks whether it listens: short, since starts are timed.
const LISTEN_POLL: Duration = Duration::from_millis(1);

/// The signal number in the status of a process that was killed.
pub const KILLED: i32 = 9;

/// Between the daemon's banner and its address.
const BANNER: &str = " listening on http://";

/// What all environment variables of the daemon start with.
const VARIABLES: &str = "KVLEASE_";

/// How to start a daemon.
#[derive(Clone, Debug)]
pub struct DaemonSpec {
    /// The `kvlease` executable.
    pub binary: PathBuf,
    /// Size of the arena, as `--capacity` takes it.
    pub capacity: String,
    /// Further settings, each `SECTION.KEY=VALUE`.
    pub settings: Vec<String>,
}

/// A daemon process. Dropping it kills the process and removes the segment.
#[derive(Debug)]
pub struct Daemon {
    spec: DaemonSpec,
    // Before the segment, so that it is dead before its files go.
    running: Option<Running>,
    segment: Segment,
    logs: TempDir,
    starts: u32,
}

#[derive(Debug)]
struct Running {
    process: Child,
    /// Where it listens, once it does.
    address: Option<SocketAddr>,
}

impl Daemon {
    /// Starts a daemon on a new segment and waits until the whole arena is populated.
    ///
    /// # Errors
    ///
    /// What the daemon or the system says.
    pub fn start(spec: DaemonSpec) -> anyhow::Result<Self> {
        let mut daemon = Self::new(spec)?;
        daemon.start_again()?;
        Ok(daemon)
    }

    /// A daemon that has not been started, with the name of a segment that is not there.
    pub(crate) fn new(spec: DaemonSpec) -> anyhow::Result<Self> {
        let logs = TempDir::with_prefix("kvlease-soak-")?;
        Ok(Self { spec, running: None, segment: Segment::new(), logs, starts: 0 })
    }

    /// Starts the ended daemon again, on the same segment and another port.
    ///
    /// # Errors
    ///
    /// Those of [`Self::start`].
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.await_listening()?;
        let populated = until(STARTS_WITHIN, || match self.stats() {
            Ok(stats) if stats.populated < stats.capacity => None,
            outcome => Some(outcome),
        });
        populated.context("the arena is not populated")??;
        Ok(())
    }

    /// Starts the process, and waits for nothing.
    pub(crate) fn spawn(&mut self) -> anyhow::Result<()> {
        assert!(self.running.is_none(), "the daemon was ended before");
        self.starts += 1;
        let mut command = serve_command(&self.spec.binary);
        command.args(["--listen", "127.0.0.1:0", "--capacity", &self.spec.capacity]);
        command.args(["--shared-memory-name", self.segment.name()]);
        for setting in &self.spec.settings {
            command.args(["--set", setting]);
        }
        command.stdout(File::create(self.said_path())?).stderr(File::create(self.log_path())?);
        let process = command.spawn().context("cannot start the daemon")?;
        self.running = Some(Running { process, address: None });
        Ok(())
    }

    /// Waits until the process that was started listens.
    pub(crate) fn await_listening(&mut self) -> anyhow::Result<()> {
        let said = self.said_path();
        let running = self.running.as_mut().context("the daemon does not run")?;
        let address = until_every(LISTEN_POLL, STARTS_WITHIN, || match listening(&said) {
            Some(address) => Some(Ok(address)),
            None => running.process.try_wait().transpose().map(Err),
        });
        match address {
            Some(Ok(address)) => {
                running.address = Some(address);
                Ok(())
            }
            outcome => {
                self.kill()?;
                bail!("the daemon does not serve, status=`{outcome:?}` log:\n{}", self.log())
            }
        }
    }

    /// Where it listens.
    ///
    /// # Panics
    ///
    /// If it does not run, or does not listen yet.
    pub fn address(&self) -> SocketAddr {
        let running = self.running.as_ref();
        running.and_then(|running| running.address).expect("only a daemon that listens is asked")
    }

    /// The name of its segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Whether the process lives.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn is_alive(&mut self) -> anyhow::Result<bool> {
        let Some(running) = &mut self.running else { return Ok(false) };
        Ok(running.process.try_wait()?.is_none())
    }

    /// What it logged since it was started last.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Ends it by `SIGKILL`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        let mut running = self.running.take().context("the daemon does not run")?;
        running.process.kill()?;
        Ok(running.process.wait()?)
    }

    /// Ends it by `SIGTERM` and waits for it.
    ///
    /// # Errors
    ///
    /// If it does not end in time; then it is killed.
    pub fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        let running = self.running.as_mut().context("the daemon does not run")?;
        kill_process(Pid::from_child(&running.process), Signal::TERM)?;
        let status = until(STARTS_WITHIN, || running.process.try_wait().transpose());
        if status.is_none() {
            self.kill()?;
        }
        self.running = None;
        Ok(status.context("the daemon did not end after SIGTERM")??)
    }

    /// A new connection.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.address()).context("cannot connect to the daemon")
    }

    /// One request on a connection of its own.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn call(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Reply> {
        let call = self.connect()?.call(method, path, body);
        call.with_context(|| format!("{method} {path}"))
    }

    /// Its state.
    ///
    /// # Errors
    ///
    /// If the reply is none.
    pub fn stats(&self) -> anyhow::Result<StatsReply> {
        self.fetch("/v1/stats")
    }

    /// The value of a metric without labels.
    ///
    /// # Errors
    ///
    /// If there is no such metric.
    pub fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.call("GET", "/metrics", b"")?.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.with_context(|| format!("no such metric, name=`{name}`"))?;
        value.parse().with_context(|| format!("no number, {name}=`{value}`"))
    }

    /// Removes every object of a bucket, and returns how many there were.
    ///
    /// # Errors
    ///
    /// If one cannot be removed.
    pub fn remove_all(&self, bucket: &str) -> anyhow::Result<u64> {
        let mut connection = self.connect()?;
        let mut removed = 0;
        loop {
            let page: ListReply = self.fetch(&format!("/v1/kv/{bucket}"))?;
            if page.objects.is_empty() && page.next_cursor.is_none() {
                return Ok(removed);
            }
            for listed in page.objects {
                let reply = connection.call("DELETE", &object(bucket, &listed.key), b"")?;
                match reply.status {
                    200 => removed += 1,
                    404 => {}
                    status => bail!("cannot remove, key=`{}` status=`{status}`", listed.key),
                }
            }
        }
    }

    /// What a path has, from JSON.
    pub(crate) fn fetch<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let reply = self.call("GET", path, b"")?;
        serde_json::from_slice(&reply.body)
            .with_context(|| format!("not the expected reply, path=`{path}` {reply:?}"))
    }

    fn said_path(&self) -> PathBuf {
        self.logs.path().join(format!("{}.out", self.starts))
    }

    fn log_path(&self) -> PathBuf {
        self.logs.path().join(format!("{}.err", self.starts))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It runs only if something failed before: killing it is all that can be done.
        let _ = self.kill();
    }
}

/// `kvlease serve` with none of its settings from the environment.
pub fn serve_command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with(VARIABLES) {
            command.env_remove(name);
        }
    }
    command.arg("serve").stdin(Stdio::null());
    command
}

/// The address in the first line that a daemon prints, once that line is whole.
fn listening(path: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(path).ok()?;
    let (first, _) = text.split_once('\n')?;
    first.split_once(BANNER)?.1.parse().ok()
}

/// A daemon of the executable that was named, or of the one beside this process's own.
pub(crate) fn daemon_spec(
    named: Option<&Path>,
    capacity: ByteSize,
    settings: Vec<String>,
) -> anyhow::Result<DaemonSpec> {
    let binary = match named {
        Some(binary) => binary.to_owned(),
        None => env::current_exe()?.with_file_name("kvlease"),
    };
    ensure!(
        binary.is_file(),
        "no daemon to soak: build it, or name it with --daemon or KVLEASE_BIN, path=`{}`",
        binary.display()
    );
    Ok(DaemonSpec { binary, capacity: capacity.to_string(), settings })
}
