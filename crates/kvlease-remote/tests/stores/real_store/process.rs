//! Server as a process of its own.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Time within which a server listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);

/// Ports of servers: below those that the kernel chooses for connections and for tests that ask it.
const PORTS_FROM: u16 = 16_384;
const PORTS: u16 = 16_384;

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

/// A port that is free, and that no other test of this process gets. The kernel does not give it away
/// meanwhile: those that it chooses are higher.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (process::id() % u32::from(PORTS)) as u16;
    loop {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(turn < PORTS, "no port is free");
        let port = PORTS_FROM + (first + turn) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
