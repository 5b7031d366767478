//! The commands for people, against a real daemon.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::{Command, Output, Stdio},
    thread,
};

use kvlease_harness::{Daemon, await_that, unused_address, with_default_signals};
use kvlease_testing::bytes;
use rustix::process::{Pid, Signal, kill_process};

use crate::program::{daemon, launch, run, run_on, run_with};

const ODD_KEYS: [&str; 6] = [
    "org/model@1%",
    "a%2Fb",
    "schlüssel 鍵 🔑",
    " leading and trailing ",
    "leases",
    "tab\tand\nnewline?#&+=",
];

fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// The one line that a command says on stderr.
fn said(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.trim_end().lines().count(), 1, "{text:?}");
    text.trim_end().to_owned()
}

fn succeed(output: Output) -> Output {
    assert_eq!(status(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn objects_with_odd_keys_come_back_byte_for_byte_over_both_paths() {
    let daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    for (number, key) in ODD_KEYS.into_iter().enumerate() {
        let content = bytes(1 + number * 1_234_567, 1);
        fs::write(&source, &content).unwrap();
        succeed(run_on(&daemon, &["put", key, source.to_str().unwrap()], b""));
        let shared = succeed(run_on(&daemon, &["get", key, target.to_str().unwrap()], b""));
        assert!(
            said(&shared).contains(&format!("shared memory `{}`", daemon.segment().name())),
            "{key}"
        );
        assert!(fs::read(&target).unwrap() == content, "{key} from shared memory");
        let http = succeed(run_on(&daemon, &["get", "--http", key], b""));
        assert!(said(&http).contains("over http"), "{key}");
        assert!(http.stdout == content, "{key} over http");
    }
    let listed = succeed(run_on(&daemon, &["ls", "--json"], b"")).stdout;
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed).unwrap();
    let mut keys = ODD_KEYS.to_vec();
    keys.sort_unstable();
    let found: Vec<&str> = listed.iter().map(|object| object["key"].as_str().unwrap()).collect();
    assert_eq!(found, keys);
}

#[test]
fn stdin_of_unknown_length_and_stdout_are_the_defaults() {
    let daemon = daemon();
    let content = bytes(3_000_001, 1);
    succeed(run_on(&daemon, &["put", "k"], &content));
    assert!(succeed(run_on(&daemon, &["get", "k"], b"")).stdout == content);
    assert!(succeed(run_on(&daemon, &["get", "k", "-", "--http"], b"")).stdout == content);
}

#[test]
fn stat_and_ls_show_what_rm_removes() {
    let daemon = daemon();
    for key in ["org/a", "org/b", "other"] {
        succeed(run_on(&daemon, &["put", key], &bytes(5000, 1)));
    }
    let shown =
        String::from_utf8(succeed(run_on(&daemon, &["stat", "org/a"], b"")).stdout).unwrap();
    assert!(shown.contains("org/a") && shown.contains("5000 (4.9KiB)"), "{shown}");
    assert!(shown.contains("checksum"), "{shown}");
    let listed = succeed(run_on(&daemon, &["ls", "org/"], b"")).stdout;
    assert_eq!(String::from_utf8(listed).unwrap(), "org/a\norg/b\n");
    let listed = succeed(run_on(&daemon, &["ls", "-l", "other"], b"")).stdout;
    assert!(String::from_utf8(listed).unwrap().contains("4.9KiB"));
    succeed(run_on(&daemon, &["rm", "org/a", "other"], b""));
    let listed = succeed(run_on(&daemon, &["ls"], b"")).stdout;
    assert_eq!(String::from_utf8(listed).unwrap(), "org/b\n");
}

#[test]
fn a_policy_of_a_bucket_is_set_shown_and_removed() {
    let daemon = daemon();
    let text =
        |args: &[&str]| String::from_utf8(succeed(run_on(&daemon, args, b"")).stdout).unwrap();
    succeed(run_on(&daemon, &["put", "k"], &bytes(5000, 1)));
    assert!(!text(&["stat", "k"]).contains("policy"));
    let set = ["bucket", "set", "lmcache", "--priority", "-2", "--ttl-s", "90", "--pinned", "sys/"];
    assert_eq!(text(&set), "");
    let shown = text(&["stat", "k"]);
    let policy = "policy    priority -2, weight 100, ttl 90 s, pins `sys/`\n";
    assert!(shown.contains(policy) && shown.contains("bucket    1 object, 8.0KiB"), "{shown}");
    let shown = text(&["bucket", "ls"]);
    assert!(shown.contains("lmcache") && shown.contains("(all others)"), "{shown}");
    let shown: serde_json::Value =
        serde_json::from_str(&text(&["bucket", "ls", "--json"])).unwrap();
    assert_eq!(shown["buckets"][0]["policy"]["ttl_s"], 90.0);
    let refused = run_on(&daemon, &["bucket", "set", "lmcache", "--weight", "heavy"], b"");
    assert_eq!(status(&refused), 64);
    let line = String::from_utf8(refused.stderr).unwrap();
    assert!(line.contains("weight=`heavy`") && line.contains("from 1 to 10000"), "{line}");
    assert_eq!(text(&["bucket", "rm", "lmcache"]), "");
    assert_eq!(status(&run_on(&daemon, &["bucket", "rm", "lmcache"], b"")), 1);
}

#[test]
fn buckets_are_apart() {
    let daemon = daemon();
    succeed(run_on(&daemon, &["put", "k", "--bucket", "tenant a"], b"one"));
    assert_eq!(status(&run_on(&daemon, &["stat", "k"], b"")), 1);
    assert_eq!(succeed(run_on(&daemon, &["--bucket", "tenant a", "get", "k"], b"")).stdout, b"one");
}

#[test]
fn the_bucket_of_the_environment_is_used_unless_a_flag_names_another() {
    let daemon = daemon();
    let url = daemon.url();
    let with = |bucket: &str, args: &[&str], stdin: &[u8]| {
        run_with(&[("KVLEASE_URL", url.as_str()), ("KVLEASE_BUCKET", bucket)], args, stdin)
    };
    succeed(with("b2", &["put", "k"], b"two"));
    assert_eq!(status(&run_on(&daemon, &["stat", "k"], b"")), 1, "it went into another bucket");
    assert_eq!(succeed(run_on(&daemon, &["get", "k", "--bucket", "b2"], b"")).stdout, b"two");
    assert_eq!(status(&with("b2", &["rm", "k", "--bucket", "lmcache"], b"")), 1);
    succeed(with("", &["put", "k"], b"one"));
    assert_eq!(succeed(run_on(&daemon, &["get", "k"], b"")).stdout, b"one", "empty is as none");
    succeed(with("b2", &["rm", "k"], b""));
    let long = "b".repeat(300);
    assert_eq!(status(&with(&long, &["ls"], b"")), 64);
    assert_eq!(status(&with(&long, &["serve", "--print-config"], b"")), 0, "serve reads none");
}

#[test]
fn stat_in_json_has_the_fields_of_ls() {
    let daemon = daemon();
    succeed(run_on(&daemon, &["put", "k\n"], b"bytes"));
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&succeed(run_on(&daemon, args, b"")).stdout).unwrap()
    };
    let (shown, listed) = (json(&["stat", "k\n", "--json"]), json(&["ls", "--json"]));
    for field in ["key", "len", "checksum"] {
        assert_eq!(shown[field], listed[0][field], "{field}");
    }
    assert_eq!(shown["len"], 5);
    assert_eq!(status(&run_on(&daemon, &["stat", "absent", "--json"], b"")), 1);
}

#[test]
fn ls_and_stat_tell_the_tiers_and_rm_removes_from_all_of_them() {
    // On the disk that the project is built on: a tmpfs has no direct I/O.
    let disk = tempfile::TempDir::with_prefix_in("tier-", env!("CARGO_TARGET_TMPDIR")).unwrap();
    let launch = launch().set([
        format!("tier.nvme.path={}", disk.path().display()),
        "tier.nvme.capacity=128MiB".to_owned(),
        "tier.nvme.write_through=all".to_owned(),
    ]);
    let daemon = Daemon::start(launch).unwrap();
    let text =
        |args: &[&str]| String::from_utf8(succeed(run_on(&daemon, args, b"")).stdout).unwrap();
    succeed(run_on(&daemon, &["put", "k"], &bytes(5000, 1)));
    await_that("the copy", || daemon.metric("kvlease_tier_objects{tier=\"nvme\"}").unwrap() == 1.0);
    assert!(text(&["ls", "-l"]).contains("  memory,nvme   k\n"), "{}", text(&["ls", "-l"]));
    for (tier, listed) in
        [("local", "k\n"), ("memory", "k\n"), ("nvme", "k\n"), ("all", "k\n"), ("other", "")]
    {
        let output = run_on(&daemon, &["ls", "--tier", tier], b"");
        assert_eq!(status(&output), if listed.is_empty() { 64 } else { 0 }, "{tier}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), listed, "{tier}");
    }
    assert_eq!(status(&run_on(&daemon, &["ls", "--tier", "remote"], b"")), 64, "there is none");
    let shown = text(&["stat", "k"]);
    assert!(shown.contains("tier      memory, 0 leases\ntier      nvme\n"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&text(&["stat", "k", "--json"])).unwrap();
    assert_eq!(json["tiers"], serde_json::json!(["memory", "nvme"]));
    assert_eq!(json["held"][1]["checksum"], json["checksum"]);
    assert_eq!(text(&["rm", "-n", "--all", "--tier", "nvme"]), "k\n");
    succeed(run_on(&daemon, &["rm", "--all", "--tier", "nvme"], b""));
    assert_eq!(text(&["ls", "--tier", "all"]), "");
    assert_eq!(status(&run_on(&daemon, &["stat", "k"], b"")), 1);
}

#[test]
fn a_tier_that_does_not_answer_is_named_and_stops_nothing() {
    let daemon = Daemon::start(launch().set(["tier.remote.url=redis://127.0.0.1:1"])).unwrap();
    for key in ["a", "b", "c"] {
        succeed(run_on(&daemon, &["put", key], b"bytes"));
    }
    let text = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text(&succeed(run_on(&daemon, &["ls"], b""))), "a\nb\nc\n");
    let listed = run_on(&daemon, &["ls", "--tier", "all"], b"");
    assert_eq!((status(&listed), text(&listed).as_str()), (69, "a\nb\nc\n"));
    assert!(said(&listed).contains("tier=`valkey`"), "{}", said(&listed));
    let shown = text(&succeed(run_on(&daemon, &["stat", "a"], b"")));
    assert!(shown.contains("tier      memory") && shown.contains("unknown   valkey: "), "{shown}");
    let removed = run_on(&daemon, &["rm", "a", "absent", "b"], b"");
    assert_eq!(status(&removed), 69);
    let lines = String::from_utf8(removed.stderr).unwrap();
    assert!(lines.contains("key=`a`") && lines.contains("key=`b`"), "{lines}");
    assert!(lines.contains("tiers=`valkey`"), "{lines}");
    assert_eq!(text(&succeed(run_on(&daemon, &["ls"], b""))), "c\n");
}

#[test]
fn rm_removes_by_prefix_or_everything_and_a_dry_run_removes_nothing() {
    let daemon = daemon();
    for key in ["org/a", "org/b", "other", "third"] {
        succeed(run_on(&daemon, &["put", key], b"bytes"));
    }
    let text =
        |args: &[&str]| String::from_utf8(succeed(run_on(&daemon, args, b"")).stdout).unwrap();
    assert_eq!(text(&["rm", "--dry-run", "--prefix", "org/"]), "org/a\norg/b\n");
    assert_eq!(text(&["rm", "-n", "--all"]), "org/a\norg/b\nother\nthird\n");
    assert_eq!(text(&["rm", "-n", "other"]), "other\n");
    assert_eq!(status(&run_on(&daemon, &["rm", "-n", "absent"], b"")), 1);
    assert_eq!(text(&["ls"]), "org/a\norg/b\nother\nthird\n", "nothing was removed");
    let removed = succeed(run_on(&daemon, &["rm", "--prefix", "org/"], b""));
    assert_eq!(said(&removed), "removed 2 objects");
    assert_eq!(text(&["ls"]), "other\nthird\n");
    assert_eq!(said(&succeed(run_on(&daemon, &["rm", "--all"], b""))), "removed 2 objects");
    assert_eq!(text(&["ls"]), "");
    for args in [
        &["rm"][..],
        &["rm", "k", "--all"],
        &["rm", "--prefix", "k", "--all"],
        &["rm", "--prefix", ""],
    ] {
        assert_eq!(status(&run_on(&daemon, args, b"")), 64, "{args:?}");
    }
}

#[test]
fn what_is_absent_or_exists_is_status_1_with_the_key() {
    let daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    fs::write(&target, b"before").unwrap();
    for args in [
        &["get", "ab/sent"][..],
        &["get", "--http", "ab/sent"],
        &["get", "ab/sent", target.to_str().unwrap()],
        &["stat", "ab/sent"],
        &["rm", "ab/sent"],
    ] {
        let output = run_on(&daemon, args, b"");
        assert_eq!(status(&output), 1, "{args:?}");
        assert!(said(&output).contains("key=`ab/sent`"), "{args:?}");
    }
    assert_eq!(fs::read(&target).unwrap(), b"before");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a failed get leaves nothing");
    succeed(run_on(&daemon, &["put", "k"], b"first"));
    let again = run_on(&daemon, &["put", "k"], b"second");
    assert_eq!(status(&again), 1);
    assert!(said(&again).contains("exists"), "{}", said(&again));
    assert_eq!(succeed(run_on(&daemon, &["get", "k"], b"")).stdout, b"first");
}

#[test]
fn a_daemon_that_is_not_there_is_status_69_with_its_url() {
    let address = unused_address();
    for args in
        [&["put", "k"][..], &["get", "k"], &["stat", "k"], &["ls"], &["rm", "k"], &["bench"]]
    {
        let output = run(&[&["--url", &address], args].concat(), b"bytes");
        assert_eq!(status(&output), 69, "{args:?}: {}", said(&output));
        assert!(said(&output).contains(&address), "{}", said(&output));
    }
}

#[test]
fn a_bad_command_line_is_status_64() {
    let long_key = "k".repeat(3000);
    for args in [
        &["stat", ""][..],
        &["stat", &long_key],
        &["stat"],
        &["ls", "--url", "redis://host:1"],
        &["ls", "--bucket", ""],
        &["get", "k", "--shared-memory-name", "a/b"],
        &["bench", "--sizes", "0"],
        &["bench", "--url", "https://127.0.0.1:1"],
        &["bench", "--tls-ca-file", "ca.pem"],
        &["bench", "--token-file", "token"],
        &["ls", "--url", "http://127.0.0.1:1", "--tls-ca-file", "ca.pem"],
        &["ls", "--url", "http://127.0.0.1:1", "--tls-key-file", "key.pem"],
        &["no-such-command"],
    ] {
        let output = run(args, b"");
        assert_eq!(status(&output), 64, "{args:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(status(&run(&["--help"], b"")), 0);
}

#[test]
fn a_mistyped_command_line_is_told_the_nearest_name_and_the_usage_of_the_command() {
    for (args, parts) in [
        (&["lst"][..], &["'lst'", "'ls'", "try '--help'"][..]),
        (&["ls", "--jsn"], &["'--jsn'", "'--json'", "kvlease ls"]),
        (&["serve", "--lisen", "x"], &["'--lisen'", "'--listen'", "kvlease serve"]),
        (&["stat"], &["<KEY>", "kvlease stat"]),
    ] {
        let output = run(args, b"");
        assert_eq!(status(&output), 64, "{args:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(parts.iter().all(|part| text.contains(part)), "{args:?}: {text}");
    }
}

#[test]
fn the_program_alone_prints_its_help() {
    let alone = run(&[], b"");
    assert_eq!(status(&alone), 64);
    assert_eq!(alone.stderr, run(&["-h"], b"").stdout);
}

#[test]
fn options_of_clients_are_in_the_help_of_clients_and_serve_takes_none() {
    let help = |command| String::from_utf8(run(&[command, "--help"], b"").stdout).unwrap();
    for command in ["put", "get", "stat", "ls", "rm", "bench"] {
        assert!(help(command).contains("--url") && help(command).contains("KVLEASE_BUCKET"));
    }
    let serve = help("serve");
    for option in ["--url", "--bucket", "--tls-ca-file", "--tls-key-file", "--token-file"] {
        assert!(!serve.contains(option), "{option}");
        for args in
            [["serve", option, "x", "--print-config"], [option, "x", "serve", "--print-config"]]
        {
            let output = run(&args, b"");
            assert_eq!(status(&output), 64, "{args:?}");
            assert!(String::from_utf8_lossy(&output.stderr).contains(option), "{args:?}");
        }
    }
}

#[test]
fn files_and_segments_that_cannot_be_had_are_status_74() {
    let daemon = daemon();
    succeed(run_on(&daemon, &["put", "k"], b"bytes"));
    for (args, named) in [
        (&["put", "other", "/no/such/file"][..], "/no/such/file"),
        (&["get", "k", "/no/such/dir/file"], "/no/such/dir/file"),
        (&["get", "k", "--shared-memory-name", "kvlease_no_such"], "kvlease_no_such"),
    ] {
        let output = run_on(&daemon, args, b"");
        assert_eq!(status(&output), 74, "{args:?}");
        assert!(said(&output).contains(named), "{}", said(&output));
    }
}

#[test]
fn a_get_that_is_interrupted_leaves_no_file() {
    let daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    // It announces an object and sends a part of it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            // To the empty line at the end of the head.
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\npart";
            stream.write_all(reply).unwrap();
            kept.push(stream);
        }
    });
    let signals =
        [(Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131), (Signal::TERM, 143)];
    for (signal, status) in signals {
        let mut get = with_default_signals();
        get.arg(daemon.launch().binary())
            .args(["--url", &url, "get", "--http", "k", "out"])
            .current_dir(dir.path());
        let mut get = get.stderr(Stdio::null()).spawn().unwrap();
        let files = || fs::read_dir(dir.path()).unwrap().count();
        await_that("the file is being written", || files() == 1);
        kill_process(Pid::from_child(&get), signal).unwrap();
        assert_eq!(get.wait().unwrap().code(), Some(status), "{signal:?}");
        assert_eq!(files(), 0, "{signal:?}");
    }
}

#[test]
fn output_that_cannot_be_written_is_a_status_and_a_reader_that_went_is_none() {
    let daemon = daemon();
    for n in 0..300 {
        succeed(run_on(&daemon, &["put", &format!("{n}{}", "k".repeat(500))], b"bytes"));
    }
    let command = |args: &[&str]| {
        let mut command = Command::new(daemon.launch().binary());
        command.args(["--url", &daemon.url()]).args(args).env_remove("KVLEASE_URL");
        command
    };
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command(&["ls"]).stdout(full()).output().unwrap();
    assert_eq!(status(&output), 74, "{output:?}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(&["ls"]).stdout(writer).output().unwrap();
    assert_eq!((status(&output), &output.stderr[..]), (0, &b""[..]));
    // What a command did is its status, whether its note can be read or not.
    let stored = command(&["put", "new", "Cargo.toml"]).stderr(full()).status().unwrap();
    assert_eq!(stored.code(), Some(0));
    let absent = command(&["stat", "absent"]).stderr(full()).status().unwrap();
    assert_eq!(absent.code(), Some(1));
}

#[test]
fn the_address_of_a_daemon_is_read_by_the_commands_that_need_one() {
    let with_url = |url: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvlease"));
        command.args(args).env("KVLEASE_URL", url).output().unwrap()
    };
    let printed = succeed(with_url("ftp://x", &["serve", "--print-config"]));
    assert!(String::from_utf8(printed.stdout).unwrap().contains("[server]"));
    assert_eq!(status(&with_url("ftp://x", &["ls"])), 64);
    let without_file = run_with(&[("KVLEASE_CONFIG", "")], &["serve", "--print-config"], b"");
    assert_eq!(status(&without_file), 0, "{without_file:?}");
    // As if unset: the default address, where nothing of this test listens.
    let output = with_url("", &["stat", "no-such-key-of-this-test"]);
    assert_ne!(status(&output), 64, "{output:?}");
}

#[test]
fn a_segment_is_removed_with_all_its_files_unless_a_daemon_runs_on_it() {
    let mut daemon = daemon();
    let name = daemon.segment().name().to_owned();
    let refused = run(&["segment", "rm", &name], b"");
    assert_eq!(status(&refused), 69, "{}", said(&refused));
    assert!(said(&refused).contains("in use"), "{}", said(&refused));
    daemon.kill().unwrap();
    assert!(daemon.segment().socket_path().exists(), "a kill leaves the socket");
    succeed(run(&["segment", "rm", &name], b""));
    assert!(daemon.segment().is_absent());
    assert_eq!(status(&run(&["segment", "rm", &name], b"")), 1);
    // Another program's file is not the segment's.
    daemon.start_again().unwrap();
    daemon.kill().unwrap();
    fs::remove_file(daemon.segment().path()).unwrap();
    fs::write(daemon.segment().path(), b"of another program").unwrap();
    succeed(run(&["segment", "rm", &name], b""));
    assert_eq!(fs::read(daemon.segment().path()).unwrap(), b"of another program");
}

#[test]
fn curve_shows_a_table_with_a_sentence_or_says_how_to_have_one() {
    let without = run_on(&daemon(), &["curve"], b"");
    assert_eq!(status(&without), 69);
    assert!(said(&without).contains("cache.curve_memory_max"), "{without:?}");
    let daemon = Daemon::start(launch().set(["cache.curve_memory_max=8MiB"])).unwrap();
    let text = String::from_utf8(succeed(run_on(&daemon, &["curve"], b"")).stdout).unwrap();
    assert!(text.starts_with("too few references"), "{text}");
    for row in ["capacity", "times", "lru", "s3-fifo", "hit-density"] {
        let line = text.lines().find(|line| line.starts_with(row));
        assert!(line.is_some_and(|line| line.split_whitespace().count() > 6), "{row}: {text}");
    }
    let json = succeed(run_on(&daemon, &["curve", "--json"], b"")).stdout;
    let curve: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(curve["points"].as_array().unwrap().len(), 18);
}
