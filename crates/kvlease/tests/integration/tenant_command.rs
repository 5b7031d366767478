//! `kvlease tenant`: a configuration before and after.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Output,
};

use kvlease_harness::{Daemon, await_that};
use serde_json::Value;

use crate::program::{launch, run, run_on};

/// A configuration with comments, in an order of its own.
const FILE: &str = "\
# Rack 7.
[log]
level = \"info\"   # as the others

# Chats come first.
[tenant.chat]
uids = [4242]      # the engine
read = [\"chat\"]

[lease]
grace_s = 5
";

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn tenant(file: &Path, args: &[&str]) -> Output {
    run(&[&["tenant", "--config", file.to_str().unwrap()], args].concat(), b"")
}

/// Standard output of a command that ends well.
fn done(file: &Path, args: &[&str]) -> String {
    let output = tenant(file, args);
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
    text(&output).0
}

fn file(dir: &Path) -> PathBuf {
    let path = dir.join("kvlease.toml");
    fs::write(&path, FILE).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    path
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn tenants_come_and_go_and_the_rest_of_the_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let link = dir.path().join("link.toml");
    symlink(&path, &link).unwrap();
    let args = ["add", "a b.c", "--token", "--read", "*"];
    assert_eq!(tenant(&link, &args).status.code(), Some(64), "a name of no use");
    assert_eq!(fs::read_to_string(&path).unwrap(), FILE);
    let args = ["add", "b.c", "--token", "--gid", "7", "--read", "*", "--read", "x-?", "--admin"];
    let token = done(&link, &args);
    let added = fs::read_to_string(&path).unwrap();
    let (before, behind) = added.split_once("\n[tenant.\"b.c\"]\n").unwrap();
    let (_, behind) = behind.split_once("\n\n").unwrap();
    assert_eq!(format!("{before}\n{behind}"), FILE, "a section stands behind those of its kind");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(token.trim_end().len(), 64);
    assert!(!added.contains(token.trim_end()), "a token is kept nowhere");
    // A second token stands beside the first.
    let second = done(&path, &["token", "b.c"]);
    assert_ne!(token, second);
    let listed: Vec<Value> = serde_json::from_str(&done(&path, &["list", "--json"])).unwrap();
    let names_and_tokens: Vec<_> =
        listed.iter().map(|tenant| (tenant["name"].as_str().unwrap(), &tenant["tokens"])).collect();
    assert_eq!(names_and_tokens, [("b.c", &2.into()), ("chat", &0.into())]);
    assert_eq!(listed[0]["read"], serde_json::json!(["*", "x-?"]));
    assert_eq!(listed[0]["gids"], serde_json::json!([7]));
    let table = done(&path, &["list"]);
    assert!(table.contains("2 tokens, gid 7") && table.contains("read * x-?, admin"), "{table}");
    let digits = fs::read_to_string(&path).unwrap();
    let (_, digits) = digits.split_once("token_sha256 = [\"").unwrap();
    for shown in [&table, &done(&path, &["list", "--json"])] {
        assert!(!shown.contains(&digits[..64]), "{shown}");
    }
    let salted = ["--cache-salt", "team-*", "--cache-salt", "x", "--cache-salt-required"];
    done(&path, &[&["add", "salted", "--uid", "7", "--read", "*"], &salted[..]].concat());
    let table = done(&path, &["list"]);
    let salts = "read *, with cache salts team-* x, needs cache salts";
    assert!(table.contains(salts), "{table}");
    let listed: Vec<Value> = serde_json::from_str(&done(&path, &["list", "--json"])).unwrap();
    assert_eq!(listed[2]["cache_salts"], serde_json::json!(["team-*", "x"]));
    assert_eq!(listed[2]["cache_salt_required"], true);
    done(&path, &["remove", "salted"]);
    let limits = ["--bytes-max", "10Gi", "--objects-max", "7", "--leases-max", "6"];
    let more = ["--requests-per-s", "5", "--connections-max", "4", "--bytes-guaranteed", "1MiB"];
    done(&path, &[&["add", "limited", "--uid", "7", "--read", "*"], &limits[..], &more].concat());
    let table = done(&path, &["list"]);
    let quota = "read *, bytes_guaranteed 1MiB, bytes_max 10GiB, connections_max 4, leases_max 6, objects_max 7, \
                 requests_per_s 5";
    assert!(table.contains(quota), "{table}");
    let listed: Vec<Value> = serde_json::from_str(&done(&path, &["list", "--json"])).unwrap();
    assert_eq!(listed[2]["quota"]["bytes_max"], 10_u64 << 30);
    assert_eq!(listed[2]["quota"]["connections_max"], 4);
    done(&path, &["remove", "limited"]);
    let removed = tenant(&path, &["remove", "b.c"]);
    assert_eq!(removed.status.code(), Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), FILE, "as it was");
    let (_, said) = text(&tenant(&path, &["remove", "chat"]));
    assert!(said.contains("every caller may do everything"), "{said}");
    assert!(done(&path, &["list"]).starts_with("no tenants"));
    assert_eq!(names(dir.path()).len(), 2, "no temporary file is left");
}

#[test]
fn what_the_daemon_would_refuse_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    for (args, status, part) in [
        (&["add", "x", "--uid", "4242", "--read", "*"][..], 64, "`chat` has it as well"),
        (&["add", "x", "--uid", "1", "--read", "[a"], 64, "write a pattern"),
        (&["add", "x", "--listener", "no", "--read", "*"], 64, "[listener.\"no\"]"),
        (&["add", "x", "--token-file", "relative", "--read", "*"], 64, "absolute path"),
        (&["add", "x", "--uid", "1", "--read", "*", "--cache-salt", "a@b"], 64, "have no `@`"),
        (&["add", "x", "--uid", "1", "--list", "b", "--cache-salt", "a"], 64, "all cache salts"),
        (
            &["add", "x", "--uid", "1", "--read", "*", "--bytes-max", "10Gigs"],
            64,
            "number and a unit",
        ),
        (&["add", "x", "--uid", "1", "--read", "*", "--arena", "no"], 64, "arena"),
        (&["add", "x", "--read", "*"], 64, "--token"),
        (&["add", "x", "--uid", "1"], 64, "--read"),
        (&["add", "chat", "--uid", "1", "--read", "*"], 1, "exists"),
        (&["remove", "x"], 1, "no such tenant"),
        (&["token", "x"], 1, "no such tenant"),
    ] {
        let output = tenant(&path, args);
        let (out, said) = text(&output);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        assert!(said.contains(part) && out.is_empty(), "{args:?}: {said}");
        assert!(!said.contains(".kvlease-"), "the message names the file: {said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), FILE, "{args:?}");
    }
    assert_eq!(names(dir.path()).len(), 1);
    let output = run(&["tenant", "list"], b"");
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output).1.contains("--config FILE"));
}

#[test]
fn a_running_daemon_takes_a_token_that_is_added_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kvlease.toml");
    let tokens = dir.path().join("tokens");
    fs::write(&path, "").unwrap();
    let first = [
        &["add", "a", "--token", "--token-file", tokens.to_str().unwrap()][..],
        &["--read", "*", "--write", "*", "--list", "*"],
    ];
    let first = done(&path, &first.concat());
    assert_eq!(fs::metadata(&tokens).unwrap().permissions().mode() & 0o7777, 0o600);
    // Who shows no token is an operator, as the test's own requests are.
    done(&path, &["add", "operators", "--listener", "server", "--admin"]);
    let daemon = Daemon::start(launch().args(["--config", path.to_str().unwrap()])).unwrap();
    let ls = |token: &str| {
        let file = dir.path().join("token");
        fs::write(&file, token).unwrap();
        run_on(&daemon, &["ls", "--token-file", file.to_str().unwrap()], b"").status.code()
    };
    assert_eq!((ls(&first), ls("another")), (Some(0), Some(77)));
    let second = done(&path, &["token", "a", "--label", "for rack 7"]);
    assert!(fs::read_to_string(&tokens).unwrap().ends_with("  for rack 7\n"));
    await_that("the daemon reads the file again", || ls(&second) == Some(0));
    assert_eq!(ls(&first), Some(0));
}
