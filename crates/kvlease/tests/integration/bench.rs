//! The benchmark: that it runs, cleans up, and prints what programs read. Not its figures.

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use kvlease_harness::{Daemon, await_that, with_default_signals};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::{daemon, launch, run, run_on};

const TINY: [&str; 8] =
    ["bench", "--json", "--sizes", "4KiB,64KiB", "--clients", "1,2", "--rounds", "1"];

const LANE_CALLS: [(&str, u64); 12] = [
    ("acquire+release", 1),
    ("acquire+release", 128),
    ("acquire+release", 1024),
    ("view", 1),
    ("view", 128),
    ("look up 1 KiB", 128),
    ("get 1 KiB", 128),
    ("put 1 KiB", 128),
    ("exists, index", 1),
    ("exists, index", 1024),
    ("get, index", 1),
    ("get, index", 128),
];

fn report(stdout: &[u8]) -> Value {
    let report: Value = serde_json::from_slice(stdout).unwrap();
    assert_eq!(report["transfers"].as_array().unwrap().len(), 4);
    for row in report["transfers"].as_array().unwrap() {
        for figure in
            ["memcpy_gb_per_s", "put_gb_per_s", "put_ratio", "read_gb_per_s", "read_ratio"]
        {
            assert!(row[figure].as_f64().unwrap() > 0.0, "{figure} in {row}");
        }
    }
    for operation in ["lease+release", "miss", "exists"] {
        let rows = report["calls"].as_array().unwrap().iter();
        let rows: Vec<_> = rows.filter(|row| row["operation"] == operation).collect();
        assert_eq!(rows.len(), 2, "{operation}");
        assert!(rows.iter().all(|row| row["p50_us"].as_f64().unwrap() > 0.0), "{operation}");
    }
    lane(&report["lane"]);
    report
}

/// The section of the fast lane: figures and ratios, and no aims of the project.
fn lane(lane: &Value) {
    assert_eq!(lane["missing"], Value::Null);
    assert!(!lane.to_string().contains("aim"), "{lane}");
    let positive = |row: &Value, figure: &str| {
        assert!(row[figure].as_f64().unwrap() > 0.0, "{figure} in {row}");
    };
    let rows = lane["calls"].as_array().unwrap();
    let named: Vec<_> = rows
        .iter()
        .map(|row| (row["operation"].as_str().unwrap(), row["keys"].as_u64().unwrap()))
        .collect();
    assert_eq!(named, LANE_CALLS);
    for row in rows {
        for figure in ["p50_us", "us_per_key"] {
            positive(row, figure);
        }
        assert_eq!(row["http_times"].is_number(), row["operation"] == "acquire+release", "{row}");
    }
    positive(lane, "http_lease_release_us");
    let rows = lane["transfers"].as_array().unwrap();
    let named: Vec<_> = rows
        .iter()
        .map(|row| (row["size"].as_u64().unwrap(), row["batch"].as_u64().unwrap()))
        .collect();
    assert_eq!(named, [(4096, 1), (4096, 128), (65536, 1), (65536, 128)]);
    for row in rows {
        let ratios =
            ["get_ratio", "index_get_ratio", "unaligned_get_ratio", "first_get_ratio", "put_ratio"];
        let rates = ["memcpy_gb_per_s", "get_gb_per_s", "put_gb_per_s", "view_us_per_key"];
        ratios.into_iter().chain(rates).for_each(|figure| positive(row, figure));
        assert_eq!(row["post_ratio"].is_number(), row["batch"] == 1, "{row}");
    }
}

#[test]
fn bench_brings_its_own_daemon_and_leaves_nothing() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvlease"));
    let command = command.args(TINY).env_remove("KVLEASE_URL").stdin(Stdio::null());
    let bench = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let segment = segment_of(&bench);
    let output = bench.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = report(&output.stdout);
    let cpu = &report["transfers"][3]["put_daemon_cpu_ms_per_gb"];
    assert!(cpu.as_f64().unwrap() > 0.0, "{cpu}");
    let cpu = &report["lane"]["transfers"][3]["put_cpu_ms_per_gb"];
    assert!(cpu.as_f64().unwrap() > 0.0, "{cpu}");
    assert_eq!(files_of(&segment), 0, "{segment} was left behind");
}

/// Name of the segment of a benchmark's own daemon.
fn segment_of(bench: &Child) -> String {
    format!("kvlease_bench_{}", bench.id())
}

/// Number of files and directories of a segment.
fn files_of(segment: &str) -> usize {
    let entries = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name());
    entries.filter(|name| name.to_string_lossy().ends_with(segment)).count()
}

#[test]
fn bench_uses_the_daemon_that_is_named_and_removes_its_objects() {
    let daemon = daemon();
    let output = run_on(&daemon, &TINY, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(report(&output.stdout)["url"], daemon.url());
    assert_eq!(run_on(&daemon, &["ls"], b"").stdout, b"");
    let refused = run_on(&daemon, &["bench", "--capacity", "1GiB"], b"");
    assert_eq!(refused.status.code(), Some(64));
}

#[test]
fn a_daemon_without_a_fast_lane_is_measured_without_it_and_the_report_says_so() {
    let daemon = Daemon::start(launch().args(["--socket", "none"])).unwrap();
    let output = run_on(&daemon, &TINY, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["lane"]["missing"].is_string(), "{report}");
    let output = run_on(&daemon, &[&["bench"], &TINY[2..]].concat(), b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("No figures of the fast lane: "), "{text}");
}

#[test]
fn rows_that_do_not_fit_are_left_out_by_name() {
    let daemon = daemon();
    let args = ["bench", "--json", "--sizes", "64MiB,1MiB", "--clients", "1", "--rounds", "1"];
    let output = run_on(&daemon, &args, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["skipped"], serde_json::json!(["64MiB x 1"]));
}

/// However the benchmark ends, its daemon and its segment go.
#[test]
fn the_daemon_of_bench_ends_with_it_even_if_it_is_killed() {
    for signal in [Signal::HUP, Signal::KILL] {
        let args = ["bench", "--sizes", "1MiB", "--clients", "1,2", "--rounds", "1000"];
        let mut command = with_default_signals();
        let command = command
            .arg(env!("CARGO_BIN_EXE_kvlease"))
            .args(args)
            .env_remove("KVLEASE_URL")
            .process_group(0);
        let mut bench = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let segment = segment_of(&bench);
        await_that("the segment is there", || {
            assert_eq!(bench.try_wait().unwrap(), None, "it runs");
            files_of(&segment) >= 3
        });
        kill_process(Pid::from_child(&bench), signal).unwrap();
        let status = bench.wait().unwrap();
        assert!(status.code() == Some(129) || signal == Signal::KILL, "{status:?}");
        await_that("the segment is gone", || files_of(&segment) == 0);
    }
}

#[test]
fn a_server_that_says_nothing_is_found_in_seconds_by_every_command() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let commands = [
        &["put", "k", "Cargo.toml"][..],
        &["get", "k"],
        &["get", "k", "--http"],
        &["stat", "k"],
        &["ls"],
        &["rm", "k"],
        &["bench", "--sizes", "4KiB", "--clients", "1", "--rounds", "1"],
    ];
    let check = |command: &[&str]| {
        let started = Instant::now();
        let output = run(&[&["--url", &url], command].concat(), b"");
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{command:?}: {line}");
        assert!(line.contains(&url) || line.contains("waited"), "{command:?}: {line}");
        assert!(started.elapsed() < Duration::from_secs(60), "{command:?}: {line}");
    };
    // Each waits for a limit of its own: side by side.
    thread::scope(|scope| {
        for command in commands {
            scope.spawn(move || check(command));
        }
    });
}
