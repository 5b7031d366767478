//! Daemons that must not start: one line on standard error, a documented exit status, no file.

use std::{fs, net::TcpListener, process::Stdio, thread};

use kvlease_harness::{Launch, SOON, Segment, until};

use crate::fixture::{daemon, get, launch, put};

const BAD_USAGE: i32 = 64;
const TAKEN: i32 = 69;
const SYSTEM: i32 = 71;
const CANNOT_CREATE: i32 = 73;

/// Exit status and the one line of a daemon that must refuse to start.
fn refusal(launch: &Launch, segment: &Segment) -> (i32, String) {
    let (status, line) = refusal_text(launch, segment);
    assert_eq!(line.lines().count(), 1, "one line, not: {line}");
    (status, line)
}

/// Exit status and standard error of a daemon that must refuse to start.
fn refusal_text(launch: &Launch, segment: &Segment) -> (i32, String) {
    let mut command = launch.command(segment).unwrap();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let ended = until(SOON, || process.try_wait().unwrap());
    if ended.is_none() {
        process.kill().unwrap();
    }
    let output = process.wait_with_output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(ended.is_some(), "it serves: {line}");
    assert!(output.stdout.is_empty());
    (output.status.code().expect("it ends by itself"), line)
}

/// The same with room for the stacks of this many threads.
fn within_threads(launch: &Launch, threads: usize) -> Launch {
    const STACK: u64 = 1 << 30;
    let room = threads as u64 * STACK + STACK / 4 * 3;
    let limited = launch.clone().ulimit(&format!("-v {}", room >> 10));
    limited.env("RUST_MIN_STACK", STACK.to_string())
}

/// Asserts that a line names every part that a person needs.
fn assert_names(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
}

#[test]
fn a_second_daemon_on_the_same_segment_is_refused_and_the_first_goes_on() {
    let first = daemon("16MiB", &[]);
    assert_eq!(put(&first, "kept", 50_000), 200);
    let inode = first.segment().inode();
    let (status, line) = refusal(&launch("16MiB"), first.segment());
    assert_eq!(status, TAKEN, "{line}");
    assert_names(&line, &["shared_memory_name=`", first.segment().name(), "stop it or choose"]);
    assert_eq!(first.segment().inode(), inode);
    assert_eq!(get(&first, "kept"), 200);
}

#[test]
fn a_daemon_that_gets_too_few_threads_says_so_and_one_that_gets_them_is_warm() {
    let mut daemon = daemon("16MiB", &[]);
    assert_eq!(put(&daemon, "kept", 50_000), 200);
    let inode = daemon.segment().inode();
    daemon.kill().unwrap();
    let plain = launch("16MiB").set(["log.level=error"]);
    // One for each processor, and those that keep, populate and scrub the arena.
    let needed = thread::available_parallelism().unwrap().get() + 3;
    for threads in 0..needed {
        let (status, line) = refusal(&within_threads(&plain, threads), daemon.segment());
        assert_eq!(status, SYSTEM, "{line}");
        assert_names(&line, &["thread", "raise"]);
    }
    assert_eq!(daemon.segment().inode(), inode);
    daemon.start_again().unwrap();
    assert_eq!(get(&daemon, "kept"), 200);
}

#[test]
fn a_taken_port_is_refused_and_nothing_is_made() {
    let segment = Segment::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (status, line) = refusal(&launch("16MiB").listen(&address), &segment);
    assert_eq!(status, TAKEN, "{line}");
    assert_names(&line, &["server.address=`", &address, "choose another port"]);
    assert!(segment.is_absent());
}

#[test]
fn a_capacity_beyond_the_shared_memory_is_refused_and_nothing_is_made() {
    let segment = Segment::new();
    let (status, line) = refusal(&launch("8TiB"), &segment);
    assert_eq!(status, CANNOT_CREATE, "{line}");
    assert_names(&line, &["capacity=`8TiB`", "set at most"]);
    assert!(segment.is_absent(), "left behind: {:?}", segment.private_path());
}

#[test]
fn a_name_that_another_file_has_is_refused_and_that_file_stays_as_it_is() {
    let segment = Segment::new();
    fs::write(segment.path(), b"of another program").unwrap();
    let (status, line) = refusal(&launch("16MiB"), &segment);
    assert_eq!(status, TAKEN, "{line}");
    assert_names(&line, &["shared_memory_name", segment.name(), "choose another name"]);
    assert_eq!(fs::read(segment.path()).unwrap(), b"of another program");
    let left = fs::symlink_metadata(segment.private_path());
    assert!(left.is_err(), "left behind: {:?}", segment.private_path());
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let absent = folder.path().join("absent.toml");
    let shown = absent.display().to_string();
    let cases = [
        (
            file("unknown.toml", "[cache]\ncapasity = \"1GiB\"\n"),
            "cache.capasity",
            "1GiB",
            "capacity",
        ),
        (file("value.toml", "[cache]\ncapacity = \"1XiB\"\n"), "cache.capacity", "1XiB", "write"),
        (file("binary.toml", "\u{0}\u{1}"), "line", "1", "TOML"),
        (folder.path().to_owned(), "config", folder.path().to_str().unwrap(), "path"),
        (absent, "config", &shown, "path"),
    ];
    for (path, key, value, remedy) in cases {
        let segment = Segment::new();
        let launch = launch("16MiB").args(["--config", path.to_str().unwrap()]);
        let (status, line) = refusal(&launch, &segment);
        assert_eq!(status, BAD_USAGE, "{line}");
        assert_names(&line, &[&format!("{key}=`{value}`"), remedy]);
        assert!(segment.is_absent());
    }
}

#[test]
fn bad_environment_variables_and_flags_are_refused_and_nothing_is_made() {
    let segment = Segment::new();
    let misspelt = launch("16MiB").env("KVLEASE_CAPASITY", "1GiB");
    let (status, line) = refusal(&misspelt, &segment);
    assert_eq!(status, BAD_USAGE, "{line}");
    assert_names(&line, &["KVLEASE_CAPASITY=`1GiB`"]);
    for (flags, named) in [
        (["--set", "cache.capasity=1GiB"], "cache.capasity=`1GiB`"),
        (["--set", "lease.ttl_max_s=-1"], "lease.ttl_max_s=`-1`"),
    ] {
        let (status, line) = refusal(&launch("16MiB").args(flags), &segment);
        assert_eq!(status, BAD_USAGE, "{line}");
        assert_names(&line, &[named]);
    }
    // The usage is part of what is said of a flag.
    let unknown = launch("16MiB").args(["--no-such-flag", "1"]);
    let (status, text) = refusal_text(&unknown, &segment);
    assert_eq!(status, BAD_USAGE, "{text}");
    assert_names(&text, &["--no-such-flag", "Usage: kvlease serve"]);
    assert!(segment.is_absent());
}
