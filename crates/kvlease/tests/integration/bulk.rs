//! Listings with ages, and removals of many objects.

use kvlease_client::ByteSize;
use kvlease_harness::Daemon;
use serde_json::Value;

use crate::{
    program::{daemon, run_on},
    top::Terminal,
};

const KVLEASE: &str = env!("CARGO_BIN_EXE_kvlease");

fn text(daemon: &Daemon, args: &[&str]) -> (String, String) {
    let output = run_on(daemon, args, b"");
    let [out, said] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(0), "{said}");
    (out, said)
}

fn store(daemon: &Daemon, keys: usize) {
    for key in 0..keys {
        daemon.call("PUT", &format!("/v1/kv/lmcache/some-{key:03}"), b"four").unwrap();
    }
    daemon.call("PUT", "/v1/kv/lmcache/other", b"").unwrap();
}

#[test]
fn a_long_listing_has_lengths_and_ages_in_a_table_and_in_json() {
    let daemon = daemon();
    store(&daemon, 2);
    for args in [&["ls", "--json"][..], &["ls", "-l", "--json", "some"]] {
        let listed: Vec<Value> = serde_json::from_str(&text(&daemon, args).0).unwrap();
        assert!(listed.iter().all(|object| object["age_s"].as_u64().is_some_and(|age| age < 600)));
    }
    let (table, _) = text(&daemon, &["ls", "-l", "some"]);
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 2, "no headings but on a terminal: {table}");
    let size = kvlease_client::human_size(ByteSize::new(4));
    for (number, row) in rows.iter().enumerate() {
        assert!(table.contains(&size), "{table}");
        assert_eq!(row.last().unwrap(), &format!("some-{number:03}"));
        assert_eq!(row[row.len() - 2], "memory");
    }
    let line = format!("{KVLEASE} --url {} ls -l", daemon.url());
    let terminal = Terminal::start(129, &line);
    let screen = terminal.await_screen("headings", |screen| screen.contains("ended with 0"));
    assert!(screen.lines().next().unwrap().ends_with("key"), "{screen}");
}

#[test]
fn many_objects_are_removed_at_a_time_and_no_others() {
    let daemon = daemon();
    store(&daemon, 300);
    let (keys, said) = text(&daemon, &["rm", "--dry-run", "--prefix", "some-"]);
    assert_eq!(keys.lines().count(), 300);
    assert!(said.starts_with("300 objects of ") && said.contains("would be removed"), "{said}");
    let (_, said) = text(&daemon, &["rm", "--prefix", "some-", "--yes"]);
    assert_eq!(said, "removed 300 objects\n", "no bar but on a terminal");
    assert_eq!(text(&daemon, &["ls"]).0, "other\n");
}

#[test]
fn a_person_is_asked_before_objects_are_removed() {
    let daemon = daemon();
    store(&daemon, 3);
    let line = format!("{KVLEASE} --url {} rm --prefix some-", daemon.url());
    for (answer, width, rest) in [("n", 131, 4), ("y", 132, 1)] {
        let terminal = Terminal::start(width, &line);
        let question = "remove 3 objects of ";
        terminal.await_screen("the question", |screen| {
            screen.contains(question) && screen.contains("[y/N]")
        });
        terminal.press(answer);
        terminal.press("Enter");
        terminal.await_screen("its end", |screen| screen.contains("ended with 0"));
        assert_eq!(text(&daemon, &["ls"]).0.lines().count(), rest);
    }
}
