//! `kvlease replay`: no daemon, a trace, and the hits.

use std::{fs, path::Path, process::Output};

use crate::program::run;

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
