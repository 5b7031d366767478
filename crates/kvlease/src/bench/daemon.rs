//! A daemon of the benchmark's own: another process of this program, gone with all its memory at
//! the end.

use std::{
    env, fs,
    io::{self, Read, Seek},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use kvlease_client::{Address, ByteSize, SegmentName};
use kvlease_server::remove_segment;
use rustix::process::{Pid, Signal, kill_process};

use super::{plan::SEGMENT_DIR, wire::Connection};
use crate::failure::{Failure, Status};

/// The most time until the daemon is ready.
const START_MAX: Duration = Duration::from_secs(60);

/// Starts until the port is not taken by another process.
const STARTS_MAX: usize = 5;

/// Words of the system in the daemon's line about an address that is taken.
const ADDRESS_TAKEN: &str = "Address already in use";

/// The most time from the signal to its end; then it is killed.
const STOP_MAX: Duration = Duration::from_secs(10);

/// The most time until it answers.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Interval of looks at it while it starts or ends.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A running daemon. Dropping it ends it and removes its segment.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    command: Command,
    address: Address,
    segment: SegmentName,
    log: fs::File,
}

impl Daemon {
    /// Starts a daemon on a free loopback port and waits until it is ready. `catalog` is the limit of its
    /// catalog's memory; `None` is the daemon's default.
    pub(super) fn start(capacity: ByteSize, catalog: Option<ByteSize>) -> Result<Self, Failure> {
        let mut starts = 1;
        loop {
            let mut daemon = Self::spawn(capacity, catalog)?;
            match daemon.wait_until_ready() {
                // Another process took the port between the look and the start.
                Err(_) if starts < STARTS_MAX && daemon.finds_address_taken() => starts += 1,
                ready => return ready.map(|()| daemon),
            }
        }
    }

    fn spawn(capacity: ByteSize, catalog: Option<ByteSize>) -> Result<Self, Failure> {
        let segment: SegmentName = format!("kvlease_bench_{}", std::process::id())
            .parse()
            .expect("it is short, without slashes, and starts with a letter");
        let listen = free_port().map_err(failed)?;
        let log = tempfile::tempfile().map_err(failed)?;
        let mut command = Command::new(env::current_exe().map_err(failed)?);
        command
            .args(["serve", "--listen", &listen, "--shared-memory-name", segment.as_str()])
            .args(["--capacity", &capacity.to_string()])
            // However the benchmark ends, its daemon and the segment go.
            .arg("--throwaway")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.try_clone().map_err(failed)?)
            // An interrupt from the terminal is the benchmark's, which then ends the daemon.
            .process_group(0);
        if let Some(catalog) = catalog {
            command.args(["--set", &format!("cache.catalog_memory_max={catalog}")]);
        }
        // What is set for other daemons must not change what is measured.
        for (name, _) in env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        let address = listen.parse().map_err(kvlease_client::Error::from)?;
        let child = command.spawn().map_err(failed)?;
        Ok(Self { child, command, address, segment, log })
    }

    /// Its address.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the daemon, starts another one on its segment, and returns how long that one took from its
    /// start until it was ready.
    pub(super) fn replace(&mut self) -> Result<Duration, Failure> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_err(failed)?;
        let started = Instant::now();
        self.child = self.command.spawn().map_err(failed)?;
        self.wait_until_ready()?;
        Ok(started.elapsed())
    }

    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        loop {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || started.elapsed() > START_MAX {
                let log = self.last_line();
                return Err(Failure::new(
                    Status::Unavailable,
                    format!("the daemon of bench did not start: {log}"),
                ));
            }
            let reply = Connection::open_within(&self.address, ANSWER_MAX)
                .and_then(|mut connection| Ok(connection.call("GET", "/readyz")?.status));
            if matches!(reply, Ok(200)) {
                return Ok(());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Whether it ended since another process listens on its address.
    fn finds_address_taken(&mut self) -> bool {
        self.last_line().contains(ADDRESS_TAKEN)
    }

    fn last_line(&mut self) -> String {
        let mut text = String::new();
        let read = self.log.rewind().and_then(|()| self.log.read_to_string(&mut text));
        let line = text.lines().rfind(|line| !line.trim().is_empty());
        match (read, line) {
            (Ok(_), Some(line)) => line.to_owned(),
            _ => "it said nothing".to_owned(),
        }
    }

    fn stop(&mut self) {
        // A daemon that ended by itself needs no signal.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let signalled = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if signalled.elapsed() > STOP_MAX {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        // No other process uses the segment: what cannot be removed was never made.
        let _ = remove_segment(Path::new(SEGMENT_DIR), &self.segment);
    }
}

fn failed(error: io::Error) -> Failure {
    let text = format!("cannot start a daemon: start one and name it with --url, {error}");
    Failure::new(Status::Io, text)
}

/// A free address. If another process takes it first, the daemon reports that, and another one is tried.
fn free_port() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn is_setting(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"KVLEASE_")
}
