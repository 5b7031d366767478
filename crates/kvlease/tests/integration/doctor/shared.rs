//! Faults of the segment and the fast lane, as a client finds them.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::{Child, Command, Stdio},
};

use kvlease_harness::Segment;
use tempfile::TempDir;

use super::{
    AS_OTHER_USER, KVLEASE, OTHER_USER, look, look_at, look_behind, look_with_yaml, native, stock,
};
use crate::program::{daemon, launch};

#[test]
fn another_name_than_the_daemons_is_a_finding() {
    let daemon = daemon();
    let found = look(&[], &["--url", &daemon.url(), "--shared-memory-name", "shared_memory_x"]);
    found.assert_found(&["segment-name-differs"]);
    assert!(found.text("segment-name-differs").contains(daemon.segment().name()));
    assert!(found.names("not_checked").contains("segment-missing"), "the lane needs no name");
}

#[test]
fn the_own_shared_memory_of_a_container_is_a_finding() {
    let daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    let (url, path) = (daemon.url(), dir.path().to_str().unwrap());
    let mount = format!("mount -t tmpfs -o size=8m tmpfs {path} && exec \"$0\" \"$@\"");
    let container = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount.as_str()];
    let args = [
        "--url",
        url.as_str(),
        "--shared-memory-name",
        daemon.segment().name(),
        "--shared-memory-dir",
        path,
        "--socket",
        "none",
    ];
    let found = look_behind(&container, &[], &args);
    found.assert_found(&["segment-missing", "shared-memory-small"]);
    assert!(found.text("shared-memory-small").contains("8.0MiB"), "{:#}", found.report);
}

#[test]
fn a_file_that_is_not_the_daemons_is_a_finding() {
    let daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(daemon.segment().name()), [0; 4096]).unwrap();
    let found = look_at(&daemon, &["--shared-memory-dir", dir.path().to_str().unwrap()]);
    found.assert_found(&["segment-not-the-daemons"]);
}

#[test]
fn a_client_of_another_user_is_denied() {
    let daemon = daemon();
    let (_dir, program) = program_for_all();
    let (url, name) = (daemon.url(), daemon.segment().name());
    let args = ["--url", url.as_str(), "--shared-memory-name", name];
    let found = run_as_other_user(&program, &args);
    found.assert_found(&["segment-denied", "socket-unreachable"]);
    let text = found.text("segment-denied");
    assert!(text.contains("mode=`0600`") && text.contains("user=`4242`"), "{text}");
}

#[test]
fn a_user_whom_the_daemon_does_not_take_is_a_finding() {
    let daemon = daemon();
    let (_dir, program) = program_for_all();
    let (url, name) = (daemon.url(), daemon.segment().name());
    // The mode of the socket keeps all others out but those that no mode keeps out.
    let able = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"];
    let prefix = [&AS_OTHER_USER[..], &able].concat();
    let args = ["--url", url.as_str(), "--shared-memory-name", name];
    let found = run_behind(&prefix, &program, &args);
    found.assert_found(&["socket-refuses"]);
    look_at(&daemon, &[]).assert_found(&["users-refused"]);
}

#[test]
fn a_daemon_of_another_user_is_not_trusted() {
    let (_dir, program) = program_for_all();
    let segment = Segment::new();
    let (_daemon, url) = serve_as_other_user(&program, &segment);
    let args = ["--url", url.as_str(), "--shared-memory-name", segment.name()];
    let found = look(&[], &args);
    found.assert_found(&["segment-of-other-user", "socket-of-other-user"]);
    assert!(found.text("socket-of-other-user").contains("kvlease_daemon_uid to 4242"));
}

#[test]
fn a_socket_that_is_not_there_is_a_finding() {
    let daemon = daemon();
    let found = look_at(&daemon, &["--socket", "/nonexistent/sock"]);
    found.assert_found(&["socket-unreachable"]);
    assert!(found.text("socket-unreachable").contains("mount"), "{:#}", found.report);
}

#[test]
fn the_socket_of_another_daemon_is_a_finding() {
    let (daemon, other) = (daemon(), daemon());
    let socket = other.segment().socket_path();
    look_at(&daemon, &["--socket", socket.to_str().unwrap()])
        .assert_found(&["socket-of-other-daemon"]);
}

#[test]
fn an_index_that_cannot_be_had_is_a_finding() {
    // One place for connections: the lane has it when the index wants another.
    let daemon =
        kvlease_harness::Daemon::start(launch().set(["server.connections_max=1"])).unwrap();
    look_at(&daemon, &[]).assert_found(&["index-unusable"]);
}

#[test]
fn the_whole_directory_under_lmcaches_own_connector_is_a_finding() {
    let daemon = daemon();
    look_with_yaml(&stock(&daemon), &[]).assert_found(&["directory-mounted"]);
    look_with_yaml(&native(&daemon), &[]).assert_found(&[]);
}

/// The program where all users may run it.
fn program_for_all() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("kvlease");
    fs::copy(KVLEASE, &program).unwrap();
    let program = program.to_str().unwrap().to_owned();
    (dir, program)
}

fn run_as_other_user(program: &str, args: &[&str]) -> super::Look {
    run_behind(&AS_OTHER_USER, program, args)
}

/// Report behind a prefix that makes a process of another user, which may run the program.
pub(super) fn behind_for_all(
    prefix: &[&str],
    look: impl FnOnce(&[&str]) -> super::Look,
) -> super::Look {
    let (_dir, program) = program_for_all();
    look(&[prefix, &INSTEAD, &[program.as_str()]].concat())
}

/// Report of this program behind the words of `prefix`, which end before the program.
fn run_behind(prefix: &[&str], program: &str, args: &[&str]) -> super::Look {
    look_behind(&[prefix, &INSTEAD, &[program]].concat(), &[], args)
}

/// Words before a program that leave out the one behind it, which [`look_behind`] puts there.
const INSTEAD: [&str; 4] = ["sh", "-c", "program=$1; shift 2; exec \"$program\" \"$@\"", "sh"];

/// Daemon of another user, which is killed at the end of the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Daemon of another user on a free port, and its URL.
fn serve_as_other_user(program: &str, segment: &Segment) -> (Killed, String) {
    let mut command = Command::new(AS_OTHER_USER[0]);
    command.args(&AS_OTHER_USER[1..]).args([program, "serve", "--capacity", "16MiB"]);
    command.args(["--listen", "127.0.0.1:0", "--shared-memory-name", segment.name()]);
    command.args(["--set", "cache.segment_mode=0644", "--set", "server.socket_mode=0666"]);
    let mut daemon = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut first = String::new();
    BufReader::new(daemon.0.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let url = first.trim_end().split_once(" listening on ").unwrap().1.to_owned();
    (daemon, url)
}

/// Gives a path to the other user.
pub(super) fn give_away(path: &Path) {
    chown(path, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
}
