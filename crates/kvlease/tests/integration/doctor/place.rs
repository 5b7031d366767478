//! Faults of the place where a daemon is to start.

use std::{fs, net::TcpListener, process::Command};

use kvlease_harness::{Segment, unused_address};
use kvlease_testing::without_io_uring;

use super::{Look, file, look, look_behind, shared::give_away};

/// Report of a place where a daemon is to start, with more settings.
pub(super) fn look_for(segment: &Segment, settings: &[(&str, &str)]) -> Look {
    look_for_behind(&[], segment, settings)
}

fn look_for_behind(prefix: &[&str], segment: &Segment, settings: &[(&str, &str)]) -> Look {
    let address = unused_address();
    let usual = [
        ("KVLEASE_SHARED_MEMORY_NAME", segment.name()),
        ("KVLEASE_LISTEN", address.as_str()),
        ("KVLEASE_CAPACITY", "16MiB"),
    ];
    look_behind(prefix, &[&usual, settings].concat(), &["--serve"])
}

/// Directory on a disk.
pub(super) const ON_DISK: &str = env!("CARGO_TARGET_TMPDIR");

#[test]
fn a_sound_place_has_no_findings() {
    look_for(&Segment::new(), &[]).assert_found(&[]);
    let tier = tempfile::tempdir_in(ON_DISK).unwrap();
    let path = tier.path().to_str().unwrap();
    let look = look_for(&Segment::new(), &[("KVLEASE_TIER_NVME_PATH", path)]);
    look.assert_found(&[]);
    for name in ["tier-path-unusable", "io-uring-denied", "locked-memory-small"] {
        assert!(look.report["right"].as_array().unwrap().contains(&name.into()), "{name}");
    }
    assert_eq!(fs::read_dir(path).unwrap().count(), 0, "nothing was left");
}

#[test]
fn a_configuration_that_the_daemon_refuses_is_named() {
    let (_dir, path) = file("kvlease.toml", "[cahce]\n");
    let found = look(&[], &["--serve", "--config", &path]);
    found.assert_found(&["configuration-refused"]);
    assert!(found.text("configuration-refused").contains("[cache]"), "{:#}", found.report);
}

#[test]
fn an_arena_beyond_the_limits_is_a_finding() {
    let found = look_for(&Segment::new(), &[("KVLEASE_CAPACITY", "32TiB")]);
    found.assert_found(&["arena-does-not-fit"]);
    assert!(found.text("arena-does-not-fit").contains("set at most"), "{:#}", found.report);
}

#[test]
fn a_directory_on_a_disk_is_a_finding() {
    let dir = tempfile::tempdir_in(ON_DISK).unwrap();
    let path = dir.path().to_str().unwrap();
    look_for(&Segment::new(), &[("KVLEASE_SHARED_MEMORY_DIR", path)])
        .assert_found(&["directory-on-disk"]);
}

#[test]
fn a_name_that_a_file_has_is_a_finding() {
    let segment = Segment::new();
    fs::write(segment.path(), [0; 4096]).unwrap();
    look_for(&segment, &[]).assert_found(&["segment-name-taken"]);
}

#[test]
fn what_a_daemon_of_another_user_left_is_a_finding() {
    let segment = Segment::new();
    fs::create_dir(segment.private_path()).unwrap();
    give_away(&segment.private_path());
    let third = ["setpriv", "--reuid=4243", "--regid=4243", "--clear-groups"];
    let found =
        super::shared::behind_for_all(&third, |prefix| look_for_behind(prefix, &segment, &[]));
    found.assert_found(&["segment-left-by-other-user"]);
}

#[test]
fn a_port_that_is_taken_is_a_finding() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let found = look_for(&Segment::new(), &[("KVLEASE_LISTEN", &address)]);
    found.assert_found(&["port-taken"]);
    let daemon = crate::program::daemon();
    let running = daemon.address().to_string();
    look_for(daemon.segment(), &[("KVLEASE_LISTEN", &running)]).assert_found(&[]);
}

#[test]
fn fewer_open_files_than_connections_are_a_finding() {
    let limited = ["sh", "-c", "ulimit -n 1000 && exec \"$0\" \"$@\""];
    look_for_behind(&limited, &Segment::new(), &[]).assert_found(&["open-files-few"]);
}

#[test]
fn tenants_that_share_an_arena_are_a_hint() {
    let tenant = |name: &str, uid: u32, more: &str| {
        format!("[tenant.{name}]\nuids = [{uid}]\nread = [\"{name}\"]\n{more}\n")
    };
    let sharing = tenant("a", 1, "shares_arena = true") + &tenant("b", 2, "");
    let arena = |capacity: &str| {
        format!("{sharing}arena = \"own\"\n[arena.own]\ncapacity = \"{capacity}\"\n")
    };
    let look = |text: &str| {
        let (_dir, path) = file("kvlease.toml", text);
        look_for(&Segment::new(), &[("KVLEASE_CONFIG", path.as_str())])
    };
    let shared = look(&sharing);
    shared.assert_found(&[]);
    assert!(shared.text("tenants-share-arena").contains("tenants=`default: a`"));
    let apart = look(&arena("16MiB"));
    apart.assert_found(&[]);
    assert_eq!(apart.text("tenants-share-arena"), "");
    let beyond = look(&arena("32TiB"));
    beyond.assert_found(&["arena-does-not-fit"]);
    let text = beyond.text("arena-does-not-fit");
    assert!(text.contains("in the arena `own`") && text.contains("set at most"), "{text}");
}

#[test]
fn a_mount_without_huge_pages_is_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    for (option, has_hint) in [("never", true), ("advise", false)] {
        let mount =
            format!("mount -t tmpfs -o size=64m,huge={option} tmpfs {path} && exec \"$0\" \"$@\"");
        let namespace = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount.as_str()];
        let settings = [("KVLEASE_SHARED_MEMORY_DIR", path)];
        let look = look_for_behind(&namespace, &Segment::new(), &settings);
        look.assert_found(&[]);
        let hint = look.text("huge-pages-off");
        assert_eq!(hint.contains("remount"), has_hint, "{option}: {hint}");
    }
}

#[test]
fn a_tier_that_cannot_be_there_is_a_finding() {
    for path in ["/nonexistent", "/dev/shm"] {
        look_for(&Segment::new(), &[("KVLEASE_TIER_NVME_PATH", path)])
            .assert_found(&["tier-path-unusable"]);
    }
    let (dir, taken) = file("file", "");
    let tier = tempfile::tempdir_in(ON_DISK).unwrap();
    let path = tier.path().to_str().unwrap();
    let foreign = tempfile::tempdir_in(ON_DISK).unwrap();
    fs::write(foreign.path().join("kvlease.tier"), "precious").unwrap();
    for (path, capacity, part) in [
        (taken.as_str(), "64MiB", "set one on a local file system"),
        (path, "63TiB", "set at most what is free or make room, capacity=`63TiB`"),
        (path, "1MiB", "set at least 64MiB"),
        (foreign.path().to_str().unwrap(), "64MiB", "remove it or set another directory"),
    ] {
        let settings = [("KVLEASE_TIER_NVME_PATH", path), ("KVLEASE_TIER_NVME_CAPACITY", capacity)];
        let found = look_for(&Segment::new(), &settings);
        found.assert_found(&["tier-path-unusable"]);
        let text = found.text("tier-path-unusable");
        assert!(text.contains(part), "{text}");
    }
    drop(dir);
    let settings = ["cache.capacity=16MiB", "server.address=127.0.0.1:0", "tier.nvme.path=/none"];
    let args: Vec<_> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
    look(&[], &[&["--serve"], &args[..]].concat()).assert_has(&["tier-path-unusable"]);
}

#[test]
fn certificates_that_the_daemon_refuses_are_a_finding() {
    let (_dir, path) = file("daemon.pem", "no PEM");
    for (path, part) in
        [(path.as_str(), "write certificates in PEM"), ("/none.pem", "check the path")]
    {
        let settings = [("KVLEASE_TLS_CERTIFICATE_FILE", path), ("KVLEASE_TLS_KEY_FILE", path)];
        let found = look_for(&Segment::new(), &settings);
        found.assert_found(&["certificates-unusable"]);
        let text = found.text("certificates-unusable");
        let setting = format!("server.tls_certificate_file=`{path}`");
        assert!(text.contains(part) && text.contains(&setting), "{text}");
    }
}

#[test]
fn a_store_that_refuses_is_a_finding() {
    let url = format!("redis://:hunter2@{}", unused_address());
    let encrypted = url.replace("redis:", "rediss:");
    for (url, file, part) in [
        (&url, "none", "see that the store runs"),
        (&encrypted, "/none.pem", "tier.remote.tls_ca_file=`/none.pem`"),
    ] {
        let settings =
            [("KVLEASE_TIER_REMOTE_URL", url.as_str()), ("KVLEASE_TIER_REMOTE_TLS_CA_FILE", file)];
        let found = look_for(&Segment::new(), &settings);
        found.assert_found(&["store-unusable"]);
        let text = found.text("store-unusable");
        assert!(text.contains(part) && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_filter_against_io_uring_is_a_finding() {
    let tier = tempfile::tempdir_in(ON_DISK).unwrap();
    let settings = [("KVLEASE_TIER_NVME_PATH", tier.path().to_str().unwrap())];
    let found = without_io_uring(|| look_for(&Segment::new(), &settings));
    found.assert_found(&["io-uring-denied"]);
}

#[test]
fn a_low_limit_of_locked_memory_is_a_finding() {
    let tier = tempfile::tempdir_in(ON_DISK).unwrap();
    let settings = [("KVLEASE_TIER_NVME_PATH", tier.path().to_str().unwrap())];
    // Too little for the ring itself, and too little for its memory.
    for limit in ["--memlock=4096", "--memlock=1048576"] {
        let mut limited = vec!["prlimit", limit];
        // The superuser has no such limit while it may lock memory.
        if rustix::process::geteuid().is_root() {
            limited.extend(["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]);
        }
        let look = look_for_behind(&limited, &Segment::new(), &settings);
        look.assert_found(&["locked-memory-small"]);
    }
}

#[test]
fn options_of_the_other_side_are_refused() {
    let program = super::KVLEASE;
    let output = Command::new(program).args(["doctor", "--config", "x.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
}
