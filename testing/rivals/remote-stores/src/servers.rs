//! The servers, as processes that end with this one's use of them.

#[expect(dead_code, reason = "nothing is stopped here, as in the tests")]
#[path = "../../../../crates/kvlease-remote/tests/stores/real_store/process.rs"]
mod process;

use std::{fs, process::Command};

use kvlease_remote::{AccessKey, Secret};
use tempfile::TempDir;

use crate::Outcome;
pub(crate) use process::Process;

pub(crate) const BUCKET: &str = "kvs";
pub(crate) const ACCESS_KEY: &str = "AKIATEST";
pub(crate) const SECRET_KEY: &str = "secret-of-the-benchmark";

/// An S3 server over a folder.
pub(crate) struct S3Server {
    pub(crate) server: Process,
    _folder: TempDir,
}

pub(crate) fn valkey() -> Outcome<Process> {
    Ok(Process::start(|port| {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no"]);
        command
    }))
}

/// Its folder is in memory, so that the disk is not what is measured.
pub(crate) fn s3(program: &str) -> Outcome<S3Server> {
    let folder = tempfile::tempdir_in("/dev/shm")?;
    fs::create_dir(folder.path().join(BUCKET))?;
    let server = Process::start(|port| {
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]);
        command.arg(folder.path());
        command
    });
    Ok(S3Server { server, _folder: folder })
}

pub(crate) fn access_key() -> AccessKey {
    AccessKey { id: Secret::new(ACCESS_KEY), secret: Secret::new(SECRET_KEY) }
}
