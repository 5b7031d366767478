//! `kvlease replay`: a trace, and the hits of a simulation, of several nodes and of a daemon.

use std::{fs, path::Path, process::Output};

use kvlease_harness::Daemon;
use serde_json::Value;

use crate::program::{launch, run, run_with};

/// Two conversations with one first block, and documents that are asked for once.
fn trace(path: &Path) {
    let mut lines = String::new();
    for round in 0..200_u64 {
        let talk = round % 2;
        let blocks: Vec<u64> =
            std::iter::once(0).chain((0..4).map(|block| 10 + talk * 10 + block)).collect();
        lines += &format!("{{\"timestamp\": {round}, \"hash_ids\": {blocks:?}}}\n");
        let pages: Vec<u64> = (0..5).map(|page| 1000 + round * 10 + page).collect();
        lines += &format!("{{\"timestamp\": {round}, \"hash_ids\": {pages:?}}}\n");
    }
    fs::write(path, lines).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn replay(arguments: &[&str]) -> Output {
    run(&[&["replay"], arguments].concat(), b"")
}

#[test]
fn each_policy_has_its_hits_and_none_has_more_than_the_optimum() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.jsonl");
    trace(&path);
    let path = path.to_str().unwrap();
    let output = replay(&[path, "--json", "--capacity", "1600MiB,1%,100%"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let trace = &report["traces"][0];
    assert_eq!((trace["requests"].as_u64(), trace["references"].as_u64()), (Some(400), Some(2000)));
    assert_eq!(trace["blocks"], 1009);
    assert_eq!(trace["capacities"], serde_json::json!([10, 1009]));
    let hits = |policy: &str, at: usize| {
        let policies = trace["policies"].as_array().unwrap();
        let found = policies.iter().find(|found| found["policy"] == policy).unwrap();
        assert_eq!(found["tokens_saved"][at].as_u64(), found["hits"][at].as_u64().map(|n| n * 512));
        found["hits"][at].as_u64().unwrap()
    };
    // Both conversations fit, and come back 198 times.
    let most = 1 + 198 * 5;
    assert_eq!(hits("optimum", 0), most);
    for policy in ["lru", "s3-fifo", "hit-density"] {
        assert!(hits(policy, 0) <= most, "{policy}");
        assert_eq!(hits(policy, 1), most, "{policy} has room for everything");
    }
    // Each conversation comes back after 15 other blocks.
    assert!(hits("lru", 0) < 250);
    assert!(hits("hit-density", 0) >= hits("lru", 0));
}

#[test]
fn a_table_and_curves_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.jsonl");
    trace(&path);
    let figures = dir.path().join("figures");
    let arguments = [path.to_str().unwrap(), "--eviction", "lru", "--plot"];
    let output = replay(&[&arguments[..], &[figures.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    let rows: Vec<&str> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for name in ["capacity", "lru", "optimum"] {
        assert!(rows.contains(&name), "{table}");
    }
    assert!(!rows.contains(&"s3-fifo"), "{table}");
    assert!(fs::read_to_string(figures.join("replay-trace.svg")).unwrap().contains("optimum"));
    assert!(fs::read(figures.join("replay-trace.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn a_file_that_is_no_trace_is_refused_with_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.csv");
    for (content, status, part) in [
        (Some("{\"hash_ids\": [1]}\nTIMESTAMP,ContextTokens\n"), 64, "line=2"),
        (Some("\n\n"), 64, "no blocks"),
        (None, 74, "cannot open the trace"),
    ] {
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let output = replay(&[path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(status), "{content:?}");
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The most hits of [`trace`]: each block of the conversations once more than not.
const MOST: u64 = 1 + 198 * 5;

#[test]
fn a_daemon_has_the_hits_of_the_simulation_and_its_capture_is_the_trace_again() {
    let dir = tempfile::tempdir().unwrap();
    let (path, capture) = (dir.path().join("trace.jsonl"), dir.path().join("capture"));
    trace(&path);
    let path = path.to_str().unwrap();
    let launch = launch().set([format!("capture.path={}", capture.display())]);
    let mut daemon = Daemon::start(launch).unwrap();
    // Twice as much room as there are blocks.
    let arguments = ["--url", &daemon.url(), "--json", "--share", "200%", path];
    let live = json(&replay(&arguments));
    assert_eq!((live["hits"].as_u64(), live["objects"].as_u64()), (Some(MOST), Some(1009)));
    assert_eq!(
        (live["refused"].as_u64(), live["eviction"].as_str()),
        (Some(0), Some("hit-density"))
    );
    for simulated in live["simulated"].as_array().unwrap() {
        assert_eq!(simulated["hits"], MOST, "{simulated}");
    }
    assert!(daemon.terminate().unwrap().success());
    let arguments = ["--json", "--capacity", "1%,5%", capture.to_str().unwrap()];
    let again = &json(&replay(&arguments))["traces"][0];
    let first = &json(&replay(&["--json", "--capacity", "1%,5%", path]))["traces"][0];
    for field in ["requests", "references", "blocks", "capacities"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    let hits = |trace: &Value| -> Vec<Value> {
        trace["policies"].as_array().unwrap().iter().map(|policy| policy["hits"].clone()).collect()
    };
    assert_eq!(hits(again), hits(first));
    assert_eq!((again["calls"].as_u64(), again["calls_dropped"].as_u64()), (live_calls(), Some(0)));
    assert_eq!(again["block_size"], live["object_size"]);
    // A daemon that is killed may leave a part of a line.
    let text = fs::read_to_string(&capture).unwrap();
    fs::write(&capture, &text[..text.len() - 20]).unwrap();
    let torn = &json(&replay(&arguments))["traces"][0];
    assert_eq!(torn["calls"].as_u64(), live_calls().map(|calls| calls - 1));
    fs::write(&capture, text.replacen("\"found\":", "\"found\":7,", 1)).unwrap();
    let output = replay(&arguments);
    assert_eq!(output.status.code(), Some(64));
    assert!(self::text(&output.stderr).contains("line=2"), "{}", self::text(&output.stderr));
}

/// Calls of [`trace`] that leave a line: a lease for each block that is there and for the first that is not,
/// another one for each that is there, and a put for each of the rest.
fn live_calls() -> Option<u64> {
    let requests_with_a_miss = 200 + 2;
    Some(2 * MOST + requests_with_a_miss + (2000 - MOST))
}

#[test]
fn a_daemon_is_asked_only_if_the_command_line_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.jsonl");
    trace(&path);
    let path = path.to_str().unwrap();
    // No daemon listens there.
    let url = [("KVLEASE_URL", "http://127.0.0.1:1")];
    let output = run_with(&url, &["replay", "--eviction", "lru", path], b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = replay(&["--url", "http://127.0.0.1:1", path]);
    assert_eq!(output.status.code(), Some(69), "{}", text(&output.stderr));
}

#[test]
fn nodes_have_hits_of_their_own_and_of_the_tier_that_they_share() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.jsonl");
    trace(&path);
    let path = path.to_str().unwrap();
    let arguments = ["--json", "--eviction", "lru", "--capacity", "100%", path];
    let hits = |more: &[&str]| {
        let report = json(&replay(&[&arguments, more].concat()));
        let cell = &report["traces"][0]["cells"][0];
        let number = |field: &str| cell[field].as_u64().unwrap();
        let size = report["traces"][0]["block_size"].as_u64().unwrap();
        assert_eq!(number("bytes_fetched"), number("shared_hits") * size);
        assert_eq!(number("bytes_stored") / size, 1009, "each block is computed once");
        (number("own_hits"), number("shared_hits"))
    };
    assert_eq!(hits(&["--nodes", "1"]), (MOST, 0));
    // Conversations come every second time, documents in between: each has a node of its own.
    assert_eq!(hits(&["--nodes", "2"]), (MOST, 0));
    // A conversation comes to all three nodes in turn.
    assert_eq!(hits(&["--nodes", "3"]), (MOST - 2 * 2 * 5 + 2, 2 * 2 * 5 - 2));
    assert_eq!(hits(&["--nodes", "3", "--routing", "affinity"]), (MOST, 0));
    let output = replay(&["--routing", "affinity", path]);
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
}

#[test]
fn captures_of_one_secret_are_one_trace_in_the_order_of_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, secret: &str, started: u64, key: u64, found: &str| {
        let path = dir.path().join(name);
        let header = format!(
            "{{\"kvlease_capture\":1,\"program\":\"1\",\"capture\":\"00000000000000aa\",\"part\":0,\
             \"started_unix_ms\":{started},\"secret\":\"{secret}\"}}\n"
        );
        let call = format!(
            "{{\"at\":5,\"by\":\"l0000000a\",\"on\":\"0000000b\",\"op\":\"get\",\"bucket\":\"00000001\",\
             \"keys\":[\"{key:016x}\",\"00000000000000ff\"],\"found\":\"{found}\",\"len\":4096,\"new\":[1]}}\n"
        );
        fs::write(&path, header + &call + "{\"at\":9,\"dropped\":3}\n").unwrap();
        path.to_str().unwrap().to_owned()
    };
    let later = write("later", "0000000000000001", 9_000, 7, "11");
    let earlier = write("earlier", "0000000000000001", 1_000, 7, "00");
    let other = write("other", "0000000000000002", 1_000, 7, "00");
    let report = json(&replay(&["--json", "--capacity", "100%", &later, &other, &earlier]));
    let traces = report["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 2);
    assert_eq!(
        (traces[0]["file"].as_str(), traces[1]["file"].as_str()),
        (Some(&*earlier), Some(&*other))
    );
    assert_eq!(
        (traces[0]["requests"].as_u64(), traces[0]["calls_dropped"].as_u64()),
        (Some(2), Some(6))
    );
    assert_eq!(traces[0]["policies"][0]["hits"][0], 2);
    let newer = fs::read_to_string(&other).unwrap().replace("capture\":1", "capture\":2");
    fs::write(&other, newer).unwrap();
    let output = replay(&[&other]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("version 2"), "{}", text(&output.stderr));
}
