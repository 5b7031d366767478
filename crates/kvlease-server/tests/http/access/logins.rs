//! Logins: tokens that change, and the limit of failed ones.

use std::{fs, path::Path};

use kvlease_server::config::TenantConfig;
use tempfile::TempDir;

use super::{ROOT, add, ask, ask_with, own, store, tenant, token};
use crate::{daemon::Daemon, wire::refused};

fn get(daemon: &Daemon, token: &str) -> u16 {
    let headers = format!("Authorization: Bearer {token}\r\n");
    ask_with(daemon, &headers, "GET", "/v1/kv/b/k", b"").status
}

#[test]
fn an_address_that_failed_often_waits_but_for_tokens_that_were_right() {
    let tenants =
        || ["early", "late"].map(|name| (name, TenantConfig { read: own(), ..tenant(name) }));
    let daemon = Daemon::with(|config| add(config, tenants()));
    store(&daemon, "b", "k", b"abc");
    assert_eq!(get(&daemon, &token("early")), 200);
    let refusals: Vec<_> = (0..20).map(|n| get(&daemon, &format!("guess-{n}"))).collect();
    assert_eq!(refusals[..16], [401; 16]);
    // Two seconds later the address may fail once more: a slow machine may have taken as long.
    let limited = refusals.iter().filter(|status| **status == 429).count();
    assert!(limited >= 1, "{refusals:?}");
    assert_eq!(get(&daemon, &token("early")), 200);
    let mut status = 401;
    for n in 0..100 {
        if status == 429 {
            break;
        }
        status = get(&daemon, &format!("another-{n}"));
    }
    let reply = ask(&daemon, Some("late"), "GET", "/v1/kv/b/k", b"");
    if reply.status != 200 {
        assert_eq!(reply.refusal(), refused(429, "too_many_requests"));
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    let metrics = ask(&daemon, Some(ROOT), "GET", "/metrics", b"").text();
    let counted = |reason: &str| {
        let series = format!("kvlease_access_refused_total{{reason=\"{reason}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series}")).parse::<u64>().unwrap()
    };
    assert!(counted("bad_credentials") >= 16 && counted("too_many_logins") >= limited as u64);
    assert_eq!(counted("forbidden"), 0);
    assert!(metrics.contains("kvlease_tenants 3\n"));
    assert!(!metrics.contains("guess-"));
}

/// Writes a file of tokens in the place of the one that is there.
fn write(path: &Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(next, path).unwrap();
}

#[test]
fn tokens_of_a_file_change_while_the_daemon_runs_and_a_broken_file_changes_nothing() {
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tokens");
    write(&path, &format!("{EMPTY} of no client\n"));
    let reader = TenantConfig { read: own(), token_file: Some(path.clone()), ..tenant("reader") };
    let daemon = Daemon::with(|config| add(config, [("reader", reader)]));
    store(&daemon, "b", "k", b"abc");
    assert_eq!(get(&daemon, "abc"), 401);
    write(&path, &format!("{EMPTY}\n{ABC} of an engine\n"));
    let reloads = |outcome: &str| {
        let metrics = ask(&daemon, Some(ROOT), "GET", "/metrics", b"").text();
        metrics.contains(&format!("kvlease_token_reloads_total{{outcome=\"{outcome}\"}} 1\n"))
    };
    daemon.eventually("the file is read again", || reloads("ok"));
    assert_eq!(get(&daemon, "abc"), 200);
    assert_eq!(get(&daemon, &token("reader")), 200, "the token of the configuration stays");
    write(&path, "no hash\n");
    daemon.eventually("the broken file is found", || reloads("failed"));
    assert_eq!(get(&daemon, "abc"), 200);
}
