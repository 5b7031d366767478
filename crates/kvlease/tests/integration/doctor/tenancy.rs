//! Faults of tenants and quotas where a daemon is to start.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use kvlease_harness::Segment;
use rustix::process::geteuid;
use tempfile::TempDir;

use super::{Look, OTHER_USER, file, place::look_for, shared::give_away};

/// A hash of a token.
const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";

/// Report of a place where a daemon is to start with this configuration.
fn look_of(text: &str) -> Look {
    look_with(&Segment::new(), text, &[])
}

fn look_with(segment: &Segment, text: &str, settings: &[(&str, &str)]) -> Look {
    let (_dir, path) = file("kvlease.toml", text);
    look_for(segment, &[&[("KVLEASE_CONFIG", path.as_str())], settings].concat())
}

/// A file of tokens with this text and mode.
fn token_file(text: &str, mode: u32) -> (TempDir, PathBuf) {
    let (dir, path) = file("tokens", text);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (dir, path.into())
}

/// Configuration with a tenant that has the file.
fn with_file(path: &Path) -> String {
    format!("[tenant.a]\ntoken_file = \"{}\"\nread = [\"*\"]\n", path.display())
}

#[test]
fn guarantees_beyond_the_arena_are_a_finding() {
    // An arena that `auto` makes has at most 8GiB.
    let auto = [("KVLEASE_CAPACITY", "")];
    let of = |size: &str| {
        let text = format!("[bucket.b]\nbytes_guaranteed = \"{size}\"\n");
        look_with(&Segment::new(), &text, &auto)
    };
    let found = of("9GiB");
    found.assert_has(&["guarantees-do-not-fit"]);
    let text = found.text("guarantees-do-not-fit");
    assert!(text.contains("bucket.b.bytes_guaranteed=`9GiB`"), "{text}");
    assert!(!of("1MiB").found().contains("guarantees-do-not-fit"));
    // One whose size is configured is refused with the configuration.
    look_of("[bucket.b]\nbytes_guaranteed = \"9GiB\"\n").assert_found(&["configuration-refused"]);
}

#[test]
fn a_quota_below_an_object_is_a_finding() {
    let found = look_of("[bucket.b]\nbytes_max = 4095\n[bucket.c]\nbytes_max = 4095\n");
    found.assert_found(&["quota-below-object"]);
    let text = found.text("quota-below-object");
    assert!(text.contains("bucket.b.bytes_max=") && text.contains("bucket.c.bytes_max="), "{text}");
    let hint = look_of("[bucket.b]\nbytes_max = \"1MiB\"\n");
    hint.assert_found(&[]);
    let text = hint.text("quota-below-object");
    assert!(text.contains("bucket.b.bytes_max=1MiB") && text.contains("`1GiB`"), "{text}");
    let enough = look_of("[bucket.b]\nbytes_max = \"1GiB\"\n");
    assert_eq!(enough.text("quota-below-object"), "");
}

#[test]
fn a_file_of_tokens_that_cannot_be_used_is_a_finding() {
    let missing = look_of(&with_file(Path::new("/nonexistent/tokens")));
    missing.assert_found(&["token-file-unusable"]);
    let text = missing.text("token-file-unusable");
    assert!(text.contains("tenant=`a`") && text.contains("can be read"), "{text}");
    let (_dir, path) = token_file("hunter2\n", 0o600);
    let wrong = look_of(&with_file(&path));
    wrong.assert_found(&["token-file-unusable"]);
    assert!(!wrong.text("token-file-unusable").contains("hunter2"), "{:#}", wrong.report);
    let (_dir, path) = token_file(HASH, 0o600);
    look_of(&with_file(&path)).assert_found(&[]);
    if geteuid().is_root() {
        // The daemon that left the segment is another user's.
        let segment = Segment::new();
        fs::create_dir(segment.private_path()).unwrap();
        give_away(&segment.private_path());
        let denied = look_with(&segment, &with_file(&path), &[]);
        denied.assert_found(&["token-file-unusable"]);
        let text = denied.text("token-file-unusable");
        assert!(text.contains(&format!("user=`{OTHER_USER}`")), "{text}");
        give_away(&path);
        look_with(&segment, &with_file(&path), &[]).assert_found(&[]);
    }
}

#[test]
fn a_file_of_tokens_that_others_can_write_is_a_finding() {
    for (mode, is_finding, is_hint) in [
        (0o600, false, false),
        (0o640, false, false),
        (0o644, false, true),
        (0o620, true, false),
        (0o666, true, false),
    ] {
        let (_dir, path) = token_file(HASH, mode);
        let look = look_of(&with_file(&path));
        look.assert_found(if is_finding { &["token-file-open"] } else { &[] });
        let text = look.text("token-file-open");
        assert_eq!(text.contains("chmod 0600"), is_finding || is_hint, "{mode:o}: {text}");
    }
}

#[test]
fn buckets_that_tenants_share_are_a_hint() {
    let tenant = |name: &str, uid: u32, more: &str| {
        format!("[tenant.{name}]\nuids = [{uid}]\nread = [\"b\"]\nwrite = [\"b\"]\n{more}\n")
    };
    let two = |a: &str, b: &str| {
        let look = look_of(&(tenant("a", 1, a) + &tenant("b", 2, b)));
        look.assert_found(&[]);
        look.text("buckets-shared")
    };
    let text = two("", "");
    assert!(text.contains("buckets=`b: a, b`") && text.contains("cache_salts"), "{text}");
    assert_eq!(two("cache_salts = [\"a\"]", "cache_salts = [\"b\"]"), "");
    assert!(two("cache_salts = [\"a\"]", "").contains("b: a, b"), "one of them sees all");
    assert_eq!(two("admin = true", ""), "", "an operator is meant to see");
    let all = "[tenant.c]\nuids = [3]\nread = [\"*\"]\nwrite = [\"*\"]\n";
    let text = look_of(&(tenant("a", 1, "") + all)).text("buckets-shared");
    assert!(text.contains("b: a, c"), "{text}");
}
