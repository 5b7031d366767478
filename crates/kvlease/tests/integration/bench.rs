//! The benchmark: that it runs, cleans up, and prints what programs read. Not its figures.

use std::fs;

use crate::daemon::{Daemon, run};
use serde_json::Value;

const TINY: [&str; 8] =
    ["bench", "--json", "--sizes", "4KiB,64KiB", "--clients", "1,2", "--rounds", "1"];

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
    report
}

#[test]
fn bench_brings_its_own_daemon_and_leaves_nothing() {
    let output = run(&TINY, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = report(&output.stdout);
    let cpu = &report["transfers"][3]["put_daemon_cpu_ms_per_gb"];
    assert!(cpu.as_f64().unwrap() > 0.0, "{cpu}");
    for entry in fs::read_dir("/dev/shm").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some((_, pid)) = name.split_once("kvlease_bench_") else { continue };
        assert!(fs::exists(format!("/proc/{pid}")).unwrap(), "{name} was left behind");
    }
}

#[test]
fn bench_uses_the_daemon_that_is_named_and_removes_its_objects() {
    let daemon = Daemon::start();
    let output = daemon.run(&TINY, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(report(&output.stdout)["url"], daemon.url.as_str());
    assert_eq!(daemon.run(&["ls"], b"").stdout, b"");
    let refused = daemon.run(&["bench", "--capacity", "1GiB"], b"");
    assert_eq!(refused.status.code(), Some(64));
}

#[test]
fn rows_that_do_not_fit_are_left_out_by_name() {
    let daemon = Daemon::start();
    let args = ["bench", "--json", "--sizes", "64MiB,1MiB", "--clients", "1", "--rounds", "1"];
    let output = daemon.run(&args, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["skipped"], serde_json::json!(["64MiB x 1"]));
}
