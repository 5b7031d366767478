//! The built program: as a daemon, and as a command against one.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use kvlease_client::{ClientConfig, Connector, ConnectorConfig, Key};
use kvlease_harness::{Daemon, Launch, unused_address};

/// Executable of the program.
const KVLEASE: &str = env!("CARGO_BIN_EXE_kvlease");

/// Limit of what a client waits for.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Daemon on a free port with an arena of 64 MiB. A restart keeps its address.
pub(crate) fn daemon() -> Daemon {
    Daemon::start(launch()).unwrap()
}

/// Settings of [`daemon`].
pub(crate) fn launch() -> Launch {
    Launch::new(KVLEASE, "64MiB").listen(unused_address())
}

/// Settings of a client of a daemon, with limits that no test reaches, however long its machine is held up.
pub(crate) fn client_of(daemon: &Daemon) -> ClientConfig {
    let mut config = ClientConfig::new(daemon.url().parse().unwrap());
    let timeouts = &mut config.timeouts;
    (timeouts.connect, timeouts.call, timeouts.stall) = (TIME_LIMIT, TIME_LIMIT, TIME_LIMIT);
    config
}

/// Settings of a connector, likewise.
pub(crate) fn connector_of(client: ClientConfig) -> ConnectorConfig {
    let mut config = ConnectorConfig::new(client);
    config.lane_open_max = TIME_LIMIT;
    config
}

/// A connector that has the lane.
pub(crate) async fn fast(config: ConnectorConfig) -> Connector {
    let connector = Connector::new(config);
    // Any answer tells of the lane, and the call after it opens it.
    connector.ping().await.unwrap();
    assert!(!connector.exists(&Key::new("absent").unwrap()).await.unwrap());
    assert!(connector.is_fast());
    connector
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
