//! Server as a process of its own.

use std::{
    net::{Ipv4Addr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use kvlease_testing::free_port;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Time within which a server listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(120);

/// Starts of a server until its port is not taken by another process.
const STARTS_MAX: usize = 5;

/// Server that listens on a port; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) port: u16,
}

impl Process {
    /// Starts a server with a command that is made for a free port.
    pub(crate) fn start(command: impl Fn(u16) -> Command) -> Self {
        for _ in 0..STARTS_MAX {
            let port = free_port();
            if let Some(process) = Self::start_at(port, command(port)) {
                return process;
            }
        }
        panic!("the server does not start: {:?}", command(0))
    }

    /// Starts a server on a port; `None` if it ends.
    pub(crate) fn start_at(port: u16, mut command: Command) -> Option<Self> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().unwrap_or_else(|error| {
            panic!("run `cargo xtask stores` to get the servers: {error}: {command:?}")
        });
        let mut process = Self { child, port };
        let until = Instant::now() + LISTENS_WITHIN;
        while process.child.try_wait().expect("the server is a child").is_none() {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Some(process);
            }
            assert!(Instant::now() < until, "the server does not listen: {command:?}");
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Stops the process, and waits until all of its threads have stopped.
    pub(crate) fn stop(&self) {
        let id = self.signal(Signal::STOP);
        let stopped = waitid(WaitId::Pid(id), WaitIdOptions::STOPPED);
        stopped.expect("the server is a child").expect("the call waits");
    }

    /// Lets the stopped process go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) -> Pid {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).expect("the server is a child that was not waited for");
        id
    }

    /// Kills the process, which may end later.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Waits until the process has ended.
    pub(crate) fn wait(&mut self) {
        self.child.wait().expect("the server is a child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that has ended already is what is wanted.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}
