//! The audit log tells who did what, and neither keys nor secrets.

use std::fs;

use kvlease_server::config::{AuditLevel, TenantConfig};
use serde_json::Value;
use tempfile::TempDir;

use super::{FOREIGN, OWN, ROOT, add, ask, ask_with, own, store, tenant};
use crate::daemon::Daemon;

/// Lines of the audit log of a daemon that was asked a few things, without the first one.
fn noted(level: AuditLevel) -> (String, Vec<Value>) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit");
    let reader = TenantConfig { read: own(), ..tenant("reader") };
    let mut daemon = Daemon::with(|config| {
        add(config, [("reader", reader)]);
        (config.audit.path, config.audit.level) = (Some(path.clone()), level);
    });
    store(&daemon, OWN, "secret-key", b"secret-bytes");
    for (name, method, target) in [
        (Some("reader"), "GET", "/v1/kv/b/secret-key"),
        (Some("reader"), "GET", "/v1/kv/foreign/secret-key"),
        (Some("reader"), "PUT", "/v1/kv/b/secret-key"),
        (None, "GET", "/v1/kv/b/secret-key"),
        (Some(ROOT), "PUT", "/v1/buckets/b/policy"),
    ] {
        ask(&daemon, name, method, target, b"");
    }
    ask_with(&daemon, "Authorization: Bearer secret-guess\r\n", "GET", "/v1/stats", b"");
    daemon.begin_shutdown()();
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.remove(0)["kvlease_audit"], 1);
    (text, lines)
}

#[test]
fn refusals_and_changes_of_policies_are_always_noted() {
    let (text, lines) = noted(AuditLevel::Refused);
    let field = |line: &Value, name: &str| line[name].as_str().unwrap_or("-").to_owned();
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            ["tenant", "by", "operation", "bucket", "outcome"].map(|name| field(line, name))
        })
        .collect();
    let expected = [
        ["reader", "token", "get", FOREIGN, "hidden"],
        ["reader", "token", "put", OWN, "forbidden"],
        ["-", "-", "get", OWN, "unidentified"],
        [ROOT, "token", "admin", OWN, "ok"],
        ["-", "-", "admin", "-", "bad_credentials"],
    ];
    assert_eq!(rows, expected.map(|row| row.map(str::to_owned)));
    for line in &lines {
        assert_eq!(field(line, "via"), "http");
        assert!(field(line, "peer").starts_with("127.0.0.1:") && line["at_unix_ms"].is_u64());
    }
    assert!(!text.contains("secret-") && !text.contains("token-of"), "{text}");
}

#[test]
fn a_higher_level_has_what_changes_objects_and_then_everything() {
    let outcomes = |level| {
        let (text, lines) = noted(level);
        assert!(!text.contains("secret-") && !text.contains("token-of"), "{text}");
        lines.iter().filter(|line| line["outcome"] == "ok").count()
    };
    // Of six requests that are let in: the policy; the store; the read.
    assert_eq!(outcomes(AuditLevel::Refused), 1);
    assert_eq!(outcomes(AuditLevel::Changed), 2);
    assert_eq!(outcomes(AuditLevel::All), 3);
}
