//! Drill processes, which a drill starts and kills.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use clap::ValueEnum;
use kvlease_harness::{Daemon, await_that};
use kvlease_soak::{
    Place, Way,
    drill::{HALF_STORED, HELD},
};

use crate::fixture::BUCKET;

/// Process that works on one object. It is killed on drop.
pub(crate) struct DrillProcess {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl DrillProcess {
    /// Process that keeps a lease of the object, once it has read under it.
    pub(crate) fn hold(daemon: &Daemon, way: Way, key: &str, ttl_s: &str) -> Self {
        Self::start(daemon, way, key, ["hold", "--ttl-s", ttl_s], HELD)
    }

    /// Process that stores an object of this length, once half of it was sent.
    pub(crate) fn store_half(daemon: &Daemon, way: Way, key: &str, len: usize) -> Self {
        Self::start(daemon, way, key, ["store-half", "--len", &len.to_string()], HALF_STORED)
    }

    fn start(daemon: &Daemon, way: Way, key: &str, part: [&str; 3], prints: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvlease-soak"));
        let way = way.to_possible_value().unwrap();
        command.args(part).args(Place::of(daemon).unwrap().arguments());
        command.args(["--way", way.get_name(), "--bucket", BUCKET, "--key", key]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut drill = Self { process, output };
        assert_eq!(drill.line(), prints);
        drill
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Last line, once the process has ended by itself and without an error.
    pub(crate) fn last_line(mut self) -> String {
        await_that("the process ends", || !self.is_running());
        assert!(self.process.wait().unwrap().success(), "see its error above");
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for DrillProcess {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
