//! `kvlease status` and `kvlease watch` against real daemons.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

use kvlease_harness::{Daemon, object, unused_address};
use serde_json::Value;

use crate::program::{daemon, launch, run, run_on};

const KVLEASE: &str = env!("CARGO_BIN_EXE_kvlease");

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(args: &[&str]) -> (Option<i32>, Value) {
    let output = run(args, b"");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn one_screen_has_the_account_of_a_daemon() {
    let daemon = daemon();
    run_on(&daemon, &["put", "k"], &[7; 5000]);
    for (key, status) in [("k", 200), ("absent", 404)] {
        let path = format!("{}/leases", object("lmcache", key));
        assert_eq!(daemon.call("POST", &path, b"").unwrap().status, status);
    }
    let output = run_on(&daemon, &["status"], b"");
    assert_eq!(output.status.code(), Some(0));
    let screen = text(&output);
    for part in ["ready", "8.0KiB of 64.0MiB taken by 1 object of 4.9KiB", "50.0 % of 2", "1 live"]
    {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    assert!(
        screen.contains(daemon.segment().name()) && screen.contains("by hit-density"),
        "{screen}"
    );
    assert!(screen.contains("bucket     lmcache: 1 object"), "{screen}");
    assert!(!screen.contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn quotas_are_shown_and_count_the_same_after_a_restart() {
    let settings = ["bucket.lmcache.objects_max=2", "bucket.lmcache.bytes_guaranteed=1MiB"];
    let mut daemon = Daemon::start(launch().set(settings)).unwrap();
    let put = |daemon: &Daemon, key: &str| {
        assert_eq!(run_on(daemon, &["put", key], &[7; 5000]).status.code(), Some(0), "{key}");
    };
    let quota = |daemon: &Daemon| {
        let screen = text(&run_on(daemon, &["status"], b""));
        let line = screen.lines().find(|line| line.trim_start().starts_with("quota"));
        line.unwrap_or_else(|| panic!("{screen}")).trim().to_owned()
    };
    let full = "quota      bucket lmcache: 1.0MiB guaranteed, 2 of 2 objects, 0 refusals";
    ["a", "b", "c"].iter().for_each(|key| put(&daemon, key));
    assert_eq!(quota(&daemon), full);
    daemon.kill().unwrap();
    daemon.start_again().unwrap();
    assert_eq!(quota(&daemon), full);
    put(&daemon, "d");
    assert_eq!(quota(&daemon), full);
    assert_eq!(daemon.call("GET", "/v1/kv/lmcache/d", b"").unwrap().status, 200);
}

#[test]
fn several_daemons_are_shown_and_one_that_is_down_is_told() {
    let (daemon, down) = (daemon(), format!("http://{}", unused_address()));
    let (status, shown) = json(&["status", "--json", &daemon.url(), &down]);
    assert_eq!(status, Some(69));
    let states: Vec<_> = shown.as_array().unwrap().iter().map(|node| &node["state"]).collect();
    assert_eq!(states, ["ready", "down"]);
    assert_eq!(shown[0]["stats"]["capacity"], 64 << 20);
    assert!(shown[1]["reason"].as_str().unwrap().contains(&down), "{shown}");
    let (status, shown) = json(&["--url", &daemon.url(), "status", "--json"]);
    assert_eq!((status, shown.as_array().unwrap().len()), (Some(0), 1));
}

/// Watch that is killed at the end of the test.
struct Watch {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Watch {
    fn start(daemon: &Daemon, args: &[&str]) -> Self {
        let mut command = Command::new(KVLEASE);
        command.args(["--url", &daemon.url(), "watch"]).args(args).env_remove("KVLEASE_BUCKET");
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines }
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn events_are_shown_as_they_happen_and_the_end_is_told() {
    let mut daemon = daemon();
    run_on(&daemon, &["put", "there"], b"bytes");
    let mut watch = Watch::start(&daemon, &["--snapshot", "--json"]);
    let mut next = || -> Value { serde_json::from_str(&watch.next()).unwrap() };
    let event = next();
    assert_eq!((&event["event"], &event["key"]), (&"present".into(), &"there".into()));
    assert_eq!(next()["event"], "current");
    run_on(&daemon, &["put", "later"], b"bytes");
    run_on(&daemon, &["rm", "there"], b"");
    let event = next();
    assert_eq!((&event["event"], &event["key"]), (&"sealed".into(), &"later".into()));
    assert_eq!(next()["event"], "removed");
    daemon.terminate().unwrap();
    assert_eq!(next()["reason"], "drain");
    assert_eq!(watch.process.wait().unwrap().code(), Some(69));
}

#[test]
fn a_bucket_that_is_named_is_shown_alone() {
    let daemon = daemon();
    let mut watch = Watch::start(&daemon, &["--bucket", "b"]);
    assert!(watch.next().starts_with("current"));
    run_on(&daemon, &["put", "one"], b"bytes");
    run_on(&daemon, &["put", "two", "--bucket", "b"], b"bytes");
    let line = watch.next();
    assert!(line.starts_with("sealed     b") && line.ends_with("two\n"), "{line}");
}

#[test]
fn a_daemon_that_denies_its_account_is_not_down() {
    let address = unused_address();
    let settings = [
        "tenant.operators.listeners=server".to_owned(),
        "tenant.operators.admin=true".to_owned(),
        format!("listener.other.address={address}"),
    ];
    let _daemon = Daemon::start(launch().set(settings)).unwrap();
    let url = format!("http://{address}");
    let output = run(&["status", &url], b"");
    assert_eq!(output.status.code(), Some(77));
    assert_eq!(text(&output), format!("{url}  denied\n"));
    let (status, shown) = json(&["status", "--json", &url]);
    assert_eq!((status, &shown[0]["state"]), (Some(77), &"denied".into()));
    assert!(shown[0]["reason"].as_str().unwrap().contains("Authorization"), "{shown}");
    // One that is not there is the greater trouble.
    let none = format!("http://{}", unused_address());
    assert_eq!(run(&["status", &url, &none], b"").status.code(), Some(69));
}
