//! Habits of people: completions, manual pages, examples, a check of the configuration, readiness.

use std::{fs, os::unix::net::UnixDatagram, process::Command, time::Duration};

use kvlease_harness::Daemon;

use crate::program::{launch, run};

#[test]
fn completions_know_the_commands_and_bash_takes_them() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completion", shell], b"");
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("doctor") && script.contains("capacity"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("kvlease");
    fs::write(&script, run(&["completion", "bash"], b"").stdout).unwrap();
    let line = "source \"$0\" && COMP_WORDS=(kvlease wat) COMP_CWORD=1 && \
                _kvlease kvlease wat kvlease && echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", line]).arg(&script).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "watch");
}

#[test]
fn every_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("man1");
    assert!(run(&["man", target.to_str().unwrap()], b"").status.success());
    for page in ["kvlease", "kvlease-serve", "kvlease-doctor", "kvlease-bucket-set"] {
        let text = fs::read_to_string(target.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
}

#[test]
fn help_has_examples() {
    for command in ["put", "get", "ls", "rm", "status", "top", "watch", "doctor", "completion"] {
        let help = String::from_utf8(run(&[command, "--help"], b"").stdout).unwrap();
        assert!(help.contains("Examples:\n  kvlease "), "{command}: {help}");
    }
}

#[test]
fn a_file_is_checked_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kvlease.toml");
    let check = || run(&["config", "check", path.to_str().unwrap()], b"");
    fs::write(&path, "[cache]\ncapacity = \"1GiB\"\n").unwrap();
    let output = check();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("kvlease.toml"));
    fs::write(&path, "[transfer]\naddress = \"10.0.0.1:9240\"\n").unwrap();
    let output = check();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.contains("[transfer]") && lines.contains("the daemon takes it"), "{lines}");
    fs::write(&path, "[cache]\ncapasity = \"1GiB\"\n").unwrap();
    let output = check();
    assert_eq!(output.status.code(), Some(64));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains("cache.capasity=`1GiB`") && line.contains("`cache.capacity`"), "{line}");
}

#[test]
fn a_service_manager_is_told_of_readiness_and_of_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let told = || {
        let mut text = [0; 256];
        let len = socket.recv(&mut text).unwrap();
        String::from_utf8(text[..len].to_vec()).unwrap()
    };
    let launch = launch().env("NOTIFY_SOCKET", path.to_str().unwrap());
    let mut daemon = Daemon::start(launch).unwrap();
    assert!(told().lines().any(|line| line == "READY=1"));
    daemon.terminate().unwrap();
    assert!(told().lines().any(|line| line == "STOPPING=1"));
}
