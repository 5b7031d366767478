//! The built program: as a daemon, and as a command against one.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
    thread,
};

use kvlease_harness::{Daemon, Launch, unused_address};

/// Executable of the program.
const KVLEASE: &str = env!("CARGO_BIN_EXE_kvlease");

/// Daemon on a free port with an arena of 64 MiB. A restart keeps its address.
pub(crate) fn daemon() -> Daemon {
    Daemon::start(launch()).unwrap()
}

/// Settings of [`daemon`].
pub(crate) fn launch() -> Launch {
    Launch::new(KVLEASE, "64MiB").listen(unused_address())
}

/// Output of the program against a daemon, with this standard input.
pub(crate) fn run_on(daemon: &Daemon, args: &[&str], stdin: &[u8]) -> Output {
    run(&[&["--url", &daemon.url()], args].concat(), stdin)
}

/// Output of the program with this standard input.
pub(crate) fn run(args: &[&str], stdin: &[u8]) -> Output {
    run_with(&[], args, stdin)
}

/// Output of the program with these variables and this standard input.
pub(crate) fn run_with(variables: &[(&str, &str)], args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(KVLEASE)
        .args(args)
        .env_remove("KVLEASE_URL")
        .env_remove("KVLEASE_BUCKET")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // A program that ends early does not read it all.
    let writer = thread::spawn(move || drop(pipe.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}
