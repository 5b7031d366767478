//! Every answer names its request, by the client's id or by a new one.

use std::{collections::HashSet, time::Duration};

use kvlease_api::{
    REQUEST_ID_HEADER,
    lane::{Answer, Mode},
};
use kvlease_server::config::AccessLogPlace;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    daemon::Daemon,
    lane::client::{Client, acquire},
};

/// Requests of many kinds, with the statuses of their answers.
const REQUESTS: [(&str, &str, &str, u16); 8] = [
    ("GET", "/v1/kv/b/there", "d", 200),
    ("GET", "/v1/kv/b/absent", "d", 404),
    ("POST", "/v1/kv/b/there/leases", "d", 200),
    ("POST", "/healthz", "d", 405),
    ("GET", "/nowhere", "d", 404),
    ("GET", "/v1/kv/b/%zz", "d", 400),
    ("GET", "/metrics", "d", 200),
    // Refused for its head.
    ("GET", "/metrics", "elsewhere.example", 421),
];

#[test]
fn every_answer_has_the_id_of_its_request() {
    let daemon = Daemon::start();
    daemon.put("there", b"x");
    let mut made = HashSet::new();
    for (method, target, host, status) in REQUESTS {
        let ask = |id: &str| {
            let mut wire = daemon.wire();
            wire.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{id}\r\n"));
            let reply = wire.reply();
            assert_eq!(reply.status, status, "{method} {target}");
            reply.header(REQUEST_ID_HEADER).unwrap().to_owned()
        };
        assert_eq!(ask("X-Request-Id: look-1.2\r\n"), "look-1.2", "{method} {target}");
        for insane in ["", "X-Request-Id: two words\r\n", "X-Request-Id: \"\r\n"] {
            let id = ask(insane);
            assert!(id.len() == 16 && made.insert(id), "{method} {target}");
        }
    }
}

#[test]
fn the_text_of_a_refused_frame_ends_with_its_connection_and_number() {
    let daemon = Daemon::start();
    for connection in 1..3 {
        let mut client = Client::reader(&daemon);
        // No length, a kind that is none, no flags, request 8.
        client.raw.send(&[0, 0, 0, 0, 99, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        let received = client.raw.receive();
        let Answer::Error(failure) = received.answer() else { panic!("{received:?}") };
        let end = format!(", connection=`{connection}` request=`8`");
        assert!(failure.text.ends_with(&end), "{failure:?}");
    }
}

#[test]
fn the_access_log_has_requests_and_frames_by_their_ids_and_nothing_secret() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("access");
    let mut daemon =
        Daemon::with(|config| config.access_log.path = AccessLogPlace::File(path.clone()));
    for (method, key, id, body) in [
        ("PUT", "secret-key", "put-1", "secret-bytes"),
        ("GET", "secret-key", "get-1", ""),
        ("GET", "secret-other", "get-2", ""),
        ("PATCH", "secret-key", "bad-1", ""),
    ] {
        let mut wire = daemon.wire();
        wire.send(format!(
            "{method} /v1/kv/b/{key}?timeout_ms=secret HTTP/1.1\r\nHost: d\r\nX-Request-Id: {id}\r\n\
             Authorization: Bearer secret-token\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        wire.reply();
    }
    let mut client = Client::reader(&daemon);
    let (grant, _) = client.lease("secret-key");
    client.release(&[grant.sequence]);
    // It is pending, and so waited for.
    let mut writer = Client::writer(&daemon);
    writer.reserve_one("secret-late", 4);
    client.call(acquire(&["secret-late"], Mode::Each, Duration::from_millis(50)));
    daemon.begin_shutdown()();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("secret"), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["kvlease_access"], 1);
    let rows: Vec<_> = lines[1..5]
        .iter()
        .map(|line| {
            ["request_id", "operation", "outcome", "status", "bucket", "received", "sent"]
                .map(|name| line[name].to_string().replace('"', ""))
        })
        .collect();
    let sent = |row: usize| lines[row]["sent"].to_string();
    let expected = [
        ["put-1", "put", "ok", "200", "b", "12", &sent(1)],
        ["get-1", "get", "ok", "200", "b", "0", "12"],
        ["get-2", "get", "not_found", "404", "b", "0", &sent(3)],
        ["bad-1", "unknown", "method_not_allowed", "405", "b", "0", &sent(4)],
    ];
    assert_eq!(rows, expected.map(|row| row.map(str::to_owned)));
    assert_eq!(lines[1]["route"], "/v1/kv/{bucket}/{key}");
    let frame = &lines[5];
    assert_eq!(
        (frame["via"].as_str(), frame["operation"].as_str()),
        (Some("lane"), Some("acquire"))
    );
    assert!(frame["connection"].is_u64() && frame["request"].is_u64(), "{frame}");
    assert_eq!(frame["bucket"], "b");
    let rest = lines[6..].iter().map(|line| (line["operation"].as_str(), line["bucket"].as_str()));
    let named = |operation| (Some(operation), Some("b"));
    let expected = [(Some("release"), None), named("reserve"), named("acquire")];
    assert_eq!(rest.collect::<Vec<_>>(), expected);
}
