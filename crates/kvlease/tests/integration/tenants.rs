//! Tenants, as the connector and the signals of an operator meet them.

use std::{fs, path::Path};

use kvlease_client::{Connector, Error, Key, PutOutcome};
use kvlease_harness::{Daemon, SOON, until, unused_address};
use kvlease_testing::bytes;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::program::{client_of, connector_of, launch, run};

/// SHA-256 of `abc`, as a line of a file of tokens.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";

/// SHA-256 of no bytes, which no client sends.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";

/// Tenant of all callers over HTTP that show no token: the harness asks for the state of the daemon.
const OPERATORS: [&str; 2] = ["tenant.operators.listeners=server", "tenant.operators.admin=true"];

/// A daemon one of whose tenants is this process, with these rights.
fn daemon(rights: &[&str]) -> Daemon {
    let uid = format!("tenant.t.uids={}", geteuid().as_raw());
    let rights = rights.iter().map(|right| format!("tenant.t.{right}"));
    let operators = OPERATORS.map(str::to_owned);
    Daemon::start(launch().set([uid].into_iter().chain(rights).chain(operators))).unwrap()
}

fn connector(daemon: &Daemon) -> Connector {
    Connector::new(connector_of(client_of(daemon)))
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

#[tokio::test]
async fn a_process_with_all_rights_needs_no_token_over_the_fast_lane() {
    let daemon = daemon(&["read=*", "write=*"]);
    let connector = connector(&daemon);
    let body = bytes(300_000, 1);
    // The first call finds the lane by the answer that refuses it over HTTP.
    let _ = connector.exists(&key("k")).await;
    assert_eq!(connector.put(&key("k"), body.clone()).await.unwrap(), PutOutcome::Stored);
    assert!(connector.get(&key("k")).await.unwrap() == Some(body));
    let hidden = daemon.call("GET", "/v1/kv/lmcache/k", b"").unwrap();
    assert_eq!(hidden.status, 404, "over HTTP it is another tenant");
}

#[tokio::test]
async fn a_process_that_may_not_map_the_arena_goes_on_over_http() {
    let daemon = daemon(&["read=lmcache", "write=lmcache"]);
    let connector = connector(&daemon);
    for _ in 0..3 {
        let refused = connector.put(&key("k"), b"bytes".to_vec()).await.unwrap_err();
        let Error::Denied { status, message, .. } = &refused else { panic!("{refused:?}") };
        assert_eq!(*status, 403, "over HTTP it is another tenant: {message}");
        assert!(message.contains("write"), "{message}");
    }
    let text = connector.take_notice().unwrap().text;
    for part in ["http, since the fast lane cannot be opened", "shares_arena = true", "tenant=`t`"]
    {
        assert!(text.contains(part), "{text}");
    }
}

/// Writes a file in the place of another one.
fn replace(file: &Path, text: &str) {
    let next = file.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(next, file).unwrap();
}

/// Status of a read with the token `abc`.
fn status(daemon: &Daemon) -> u16 {
    let mut wire = daemon.connect().unwrap();
    wire.send("GET /v1/kv/b/k HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer abc\r\n\r\n");
    wire.reply().status
}

fn hang_up(daemon: &Daemon) {
    let pid = i32::try_from(daemon.pid().unwrap()).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::HUP).unwrap();
}

#[test]
fn a_hangup_changes_quotas_and_tells_what_needs_a_start() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("kvlease.toml");
    fs::write(&file, "[bucket.b]\nobjects_max = 1\n").unwrap();
    let mut daemon = Daemon::start(launch().args(["--config", file.to_str().unwrap()])).unwrap();
    let store = |daemon: &Daemon, key: &str| {
        let stored = daemon.call("PUT", &format!("/v1/kv/b/{key}"), b"bytes").unwrap();
        assert_eq!(stored.status, 200, "{key}");
    };
    let objects = |daemon: &Daemon| daemon.stats().unwrap().objects;
    let lines = |daemon: &Daemon, line: &str| {
        let told = || (daemon.log().matches(line).count() == 1).then_some(());
        assert!(until(SOON, told).is_some(), "{line}: {}", daemon.log());
    };
    ["a", "b"].iter().for_each(|key| store(&daemon, key));
    assert_eq!(objects(&daemon), 1, "the second made the first leave");
    replace(&file, "[bucket.b]\nobjects_max = 3\npriority = 2\n[lease]\ngrace_s = 7\n");
    hang_up(&daemon);
    lines(&daemon, "bucket.b.objects_max=3");
    lines(&daemon, "[\"bucket.b.priority\", \"lease.grace_s\"]");
    ["c", "d"].iter().for_each(|key| store(&daemon, key));
    assert_eq!(objects(&daemon), 3);
    // What is of no use changes nothing, and the next one is read as if it had not been there.
    replace(&file, "[bucket.b]\nobjects_max = 0\n");
    hang_up(&daemon);
    lines(&daemon, "the configuration is of no use, and the quotas of before hold");
    store(&daemon, "e");
    assert_eq!(objects(&daemon), 3);
    replace(&file, "[bucket.c]\nrequests_per_s = 1\n");
    hang_up(&daemon);
    lines(&daemon, "\"bucket.b.objects_max=\", \"bucket.c.requests_per_s=1\"");
    store(&daemon, "f");
    assert_eq!(objects(&daemon), 4, "without a quota nothing leaves");
    let asked = (0..10).map(|_| daemon.call("GET", "/v1/kv/c/k", b"").unwrap().status);
    assert!(asked.into_iter().any(|status| status == 429), "a bucket that had no section");
    assert!(daemon.is_alive().unwrap());
    assert!(daemon.terminate().unwrap().success());
}

#[test]
fn a_hangup_has_the_files_of_tokens_read_again_and_ends_nothing() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("tokens");
    fs::write(&file, EMPTY).unwrap();
    let settings =
        [format!("tenant.t.token_file={}", file.display()), "tenant.t.read=*".to_owned()];
    let operators = OPERATORS.map(str::to_owned);
    let mut daemon = Daemon::start(launch().set(settings.into_iter().chain(operators))).unwrap();
    hang_up(&daemon);
    let reads = |daemon: &Daemon| daemon.log().matches("files of tokens were read again").count();
    assert!(until(SOON, || (reads(&daemon) == 1).then_some(())).is_some(), "{}", daemon.log());
    replace(&file, &format!("{EMPTY}{ABC}"));
    hang_up(&daemon);
    let found = until(SOON, || (status(&daemon) == 404).then_some(()));
    assert!(found.is_some(), "the new token is known: {}", daemon.log());
    replace(&file, "abc\n");
    hang_up(&daemon);
    let told = until(SOON, || daemon.log().contains("are of no use").then_some(()));
    assert!(told.is_some(), "{}", daemon.log());
    assert_eq!(status(&daemon), 404, "the tokens of before hold");
    assert!(daemon.is_alive().unwrap());
    assert!(!daemon.log().contains("`abc`"), "no token is in the log: {}", daemon.log());
    assert!(daemon.terminate().unwrap().success());
}

#[test]
fn a_tenant_without_admin_is_shown_its_objects() {
    let address = unused_address();
    let other = format!("listener.other.address={address}");
    let rights = ["listeners=other", "read=*", "write=*"].map(|right| format!("tenant.t.{right}"));
    let timed = "bucket.timed.answer_time_ms=1".to_owned();
    let settings = OPERATORS.map(str::to_owned).into_iter().chain(rights).chain([other, timed]);
    let _daemon = Daemon::start(launch().set(settings)).unwrap();
    let url = format!("http://{address}");
    for bucket in ["plain", "timed"] {
        let on = ["--url", url.as_str(), "--bucket", bucket];
        let put = run(&[&["put", "k"], &on[..]].concat(), &[7; 5000]);
        assert_eq!(put.status.code(), Some(0), "{put:?}");
        let shown = run(&[&["stat", "k"], &on[..]].concat(), b"");
        assert_eq!(shown.status.code(), Some(0), "{shown:?}");
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(text.contains("length    5000"), "{text}");
        let absent = run(&[&["stat", "absent"], &on[..]].concat(), b"");
        assert_eq!(absent.status.code(), Some(1), "{absent:?}");
    }
}
