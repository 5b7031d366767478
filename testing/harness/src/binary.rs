//! Executable of the daemon under test.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Variable that names the executable to test.
const VARIABLE: &str = "KVLEASE_BIN";

/// Directories from a test's executable up to the target directory: `deps`, profile, target.
const TARGET_ABOVE: usize = 3;

/// Executable of the daemon: the one that `KVLEASE_BIN` names, or one that is built now, once.
///
/// # Panics
///
/// If it does not build.
pub fn daemon_binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| env::var_os(VARIABLE).map_or_else(build, PathBuf::from)).clone()
}

fn build() -> PathBuf {
    let test = env::current_exe().expect("the test has an executable");
    let target = test.ancestors().nth(TARGET_ABOVE).expect("tests are in the target directory");
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "-p", "kvlease", "--bin", "kvlease", "--message-format=json"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("--target-dir").arg(target);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let built = command.stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(built.status.success(), "the daemon does not build");
    let messages = String::from_utf8(built.stdout).expect("cargo writes UTF-8");
    let mut messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let binary = messages.find_map(|message: serde_json::Value| {
        let of_daemon = message["target"]["name"] == "kvlease";
        message["executable"].as_str().filter(|_| of_daemon).map(PathBuf::from)
    });
    binary.expect("cargo names what it built")
}
