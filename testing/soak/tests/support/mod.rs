//! What the soak test and the drills share: the executables, daemons for tests, seeds.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "compiled into several tests, none of which uses all of it"
)]

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use kvlease_soak::{Daemon, DaemonSpec, Payload, until, wire};

/// How long anything may take before it counts as stuck.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The bucket of all objects of a drill.
pub(crate) const BUCKET: &str = "drill";

/// The soak's own executable, which also plays the drills' other processes.
pub(crate) const ACTOR: &str = env!("CARGO_BIN_EXE_kvlease-soak");

/// The daemon's executable: what `KVLEASE_BIN` names, or built now, once.
pub(crate) fn daemon_binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY
        .get_or_init(|| env::var_os("KVLEASE_BIN").map_or_else(build_daemon, PathBuf::from))
        .clone()
}

fn build_daemon() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let target = target.parent().expect("the folder for tests' files is in the target folder");
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "-p", "kvlease", "--bin", "kvlease", "--message-format=json"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("--target-dir").arg(target);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let built = command.stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(built.status.success(), "the daemon does not build");
    let messages = String::from_utf8(built.stdout).unwrap();
    let mut messages = messages.lines().map(|line| serde_json::from_str(line).unwrap());
    let binary = messages.find_map(|message: serde_json::Value| {
        let of_daemon = message["target"]["name"] == "kvlease";
        message["executable"].as_str().filter(|_| of_daemon).map(PathBuf::from)
    });
    binary.expect("cargo names what it built")
}

/// A daemon for one drill, with further settings.
pub(crate) fn daemon(capacity: &str, settings: &[&str]) -> Daemon {
    let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
    let spec = DaemonSpec { binary: daemon_binary(), capacity: capacity.to_owned(), settings };
    Daemon::start(spec).unwrap()
}

/// The settings for leases of at most so many seconds, with so long a grace.
pub(crate) fn lease_settings(ttl_max_s: &str, grace_s: &str) -> [String; 3] {
    [
        format!("lease.ttl_default_s={ttl_max_s}"),
        format!("lease.ttl_max_s={ttl_max_s}"),
        format!("lease.grace_s={grace_s}"),
    ]
}

/// The seed of this run: a new one, or that of `KVLEASE_TEST_SEED`. It is printed.
pub(crate) fn seed() -> u64 {
    let seed = env::var("KVLEASE_TEST_SEED").map_or_else(
        |_| kvlease_soak::mix(std::process::id().into()),
        |text| text.parse().expect("KVLEASE_TEST_SEED is a number"),
    );
    println!("replay with KVLEASE_TEST_SEED={seed}");
    seed
}

/// Stores the first version of a key; returns the status.
pub(crate) fn put(daemon: &Daemon, key: &str, len: usize) -> u16 {
    let bytes = Payload::new(key, 1, len).bytes();
    daemon.call("PUT", &wire::object(BUCKET, key), &bytes).unwrap().status
}

/// The status of a `GET`; the bytes are verified if there are any.
pub(crate) fn get(daemon: &Daemon, key: &str) -> u16 {
    let reply = daemon.call("GET", &wire::object(BUCKET, key), b"").unwrap();
    if reply.status == 200 {
        Payload::verify(key, &reply.body).unwrap();
    }
    reply.status
}

/// Asks for a lease; returns status and id.
pub(crate) fn lease(daemon: &Daemon, key: &str, query: &str) -> (u16, String) {
    let path = format!("{}/leases?{query}", wire::object(BUCKET, key));
    let reply = daemon.call("POST", &path, b"").unwrap();
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    (reply.status, body["id"].as_str().unwrap_or_default().to_owned())
}

/// Releases a lease.
pub(crate) fn release(daemon: &Daemon, id: &str) {
    let reply = daemon.call("POST", &format!("/v1/leases/{id}/release"), b"").unwrap();
    assert_eq!(reply.status, 200);
}

/// Waits until the condition holds, and fails if it does not.
pub(crate) fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let held = until(SOON, || condition().then_some(()));
    assert!(held.is_some(), "not within {SOON:?}: {what}");
}

/// Asserts that nothing is stored, leased, being written or missing.
pub(crate) fn assert_all_is_free(daemon: &Daemon) {
    await_that("everything is free", || {
        let stats = daemon.stats().unwrap();
        stats.leases + stats.writes + stats.quarantined + stats.stored == 0
            && (stats.free, stats.populated) == (stats.capacity, stats.capacity)
    });
}
