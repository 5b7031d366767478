//! Requests that are no good HTTP: each is refused or its connection ends, nothing becomes
//! visible, nothing is leaked, and everyone else is served.

use std::time::Duration;

use kvlease_harness::until;
use kvlease_testing::bytes;
use kvlease_types::ByteSize;

use crate::{
    daemon::{Daemon, WAIT_MAX},
    wire::refused,
};

/// Waits until nothing is left of the requests before, so that the next client is served.
fn is_unharmed(daemon: &Daemon) {
    daemon.until("clean state", |stats| {
        (stats.writes, stats.leases, stats.objects) == (0, 0, 0) && stats.free == stats.capacity
    });
}

/// Answer of the daemon before it closes the connection.
fn last_words(daemon: &Daemon, request: impl AsRef<[u8]>) -> String {
    let mut wire = daemon.wire();
    // It may close before it has read everything.
    let _ = wire.try_send(request);
    String::from_utf8_lossy(&wire.rest()).into_owned()
}

#[test]
fn a_head_that_drips_is_cut_off() {
    let daemon = Daemon::with(|config| config.header_timeout = Duration::from_millis(300));
    let mut wire = daemon.wire();
    let mut sent = 0;
    for byte in "GET /healthz HTTP/1.1\r\nHost: ".bytes().chain(std::iter::repeat(b'x')) {
        sent += 1;
        if wire.try_send([byte]).is_err() || !wire.is_silent_for(Duration::from_millis(20)) {
            break;
        }
        assert!(sent < 10_000, "the daemon waits for ever");
    }
    wire.rest();
    is_unharmed(&daemon);
}

#[test]
fn a_client_that_says_nothing_is_cut_off() {
    let daemon = Daemon::with(|config| config.header_timeout = Duration::from_millis(200));
    let mut silent = daemon.wire();
    // A request may be late as well.
    let answered = || {
        let mut wire = daemon.wire();
        let reply = wire.try_call("GET", "/healthz", b"").ok()?;
        Some((wire, reply))
    };
    let (mut idle, reply) = until(WAIT_MAX, answered).unwrap();
    assert_eq!(reply.status, 200);
    silent.rest();
    idle.rest();
    is_unharmed(&daemon);
}

#[test]
fn a_head_above_the_limit_is_refused() {
    let daemon = Daemon::start();
    let huge = "x".repeat(1 << 20);
    let reply = last_words(&daemon, format!("GET /healthz HTTP/1.1\r\nX-Huge: {huge}\r\n\r\n"));
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 431 "), "{reply}");
    let many = "X-Many: 1\r\n".repeat(1_000);
    let reply = last_words(&daemon, format!("GET /healthz HTTP/1.1\r\n{many}\r\n"));
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 431 "), "{reply}");
    let reply = last_words(&daemon, format!("GET /{huge} HTTP/1.1\r\nHost: d\r\n\r\n"));
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 4"), "{reply}");
    is_unharmed(&daemon);
}

#[test]
fn a_head_just_above_the_limit_is_told_so() {
    let daemon = Daemon::start();
    let request = |len: usize| {
        let header = "x".repeat(len);
        format!(
            "GET /healthz HTTP/1.1\r\nHost: d\r\nX-Large: {header}\r\nConnection: close\r\n\r\n"
        )
    };
    let reply = last_words(&daemon, request(15 << 10));
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    let reply = last_words(&daemon, request(17 << 10));
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
}

#[test]
fn what_is_no_http_is_refused_and_closed() {
    let daemon = Daemon::start();
    for garbage in [
        "hello\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03\r\n\r\n",
        "GET\r\n\r\n",
        "GET /healthz\r\n\r\n",
        "GET /healthz HTTP/9.9\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: d\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nBad Name: 1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: d\0d\r\n\r\n",
    ] {
        let reply = last_words(&daemon, garbage);
        assert!(reply.starts_with("HTTP/1.1 400 ") || reply.is_empty(), "{garbage:?}: {reply}");
        assert!(!reply.contains("HTTP/1.1 200"), "{garbage:?}: {reply}");
    }
    let binary: Vec<u8> = bytes(64 << 10, 7);
    assert!(!last_words(&daemon, &binary).contains("HTTP/1.1 2"));
    is_unharmed(&daemon);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let mut burst = String::new();
    for n in 0..100 {
        let body = format!("object {n}");
        let len = body.len();
        burst +=
            &format!("PUT /v1/kv/b/{n} HTTP/1.1\r\nHost: d\r\nContent-Length: {len}\r\n\r\n{body}");
        burst += &format!("GET /v1/kv/b/{n} HTTP/1.1\r\nHost: d\r\n\r\n");
    }
    wire.send(burst);
    for n in 0..100 {
        assert_eq!(wire.reply().status, 200, "PUT {n}");
        assert_eq!(wire.reply().text(), format!("object {n}"));
    }
    assert_eq!(daemon.stats().objects, 100);
}

#[test]
fn a_body_shorter_than_said_leaves_nothing() {
    let daemon = Daemon::start();
    for sent in [0, 1, 4096, 999_999] {
        let mut wire = daemon.wire();
        wire.begin_put("/v1/kv/b/k", 1_000_000);
        wire.send(&bytes(1_000_000, 1)[..sent]);
        wire.finish();
        let reply = String::from_utf8_lossy(&wire.rest()).into_owned();
        assert!(!reply.contains("HTTP/1.1 200"), "{reply}");
        is_unharmed(&daemon);
    }
    assert_eq!(daemon.status_of("k"), 404);
}

#[test]
fn a_chunked_body_that_breaks_off_leaves_nothing() {
    let daemon = Daemon::start();
    for end in ["", "5", "5\r\nabc", "5\r\nabcde", "5\r\nabcde\r\n", "0\r\n"] {
        let mut wire = daemon.wire();
        wire.begin_chunked_put("/v1/kv/b/k");
        wire.send(format!("3\r\nabc\r\n{end}"));
        wire.finish();
        let reply = String::from_utf8_lossy(&wire.rest()).into_owned();
        assert!(!reply.contains("HTTP/1.1 200"), "{end:?}: {reply}");
        is_unharmed(&daemon);
    }
}

#[test]
fn a_body_longer_than_said_is_no_part_of_the_object() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    wire.begin_put("/v1/kv/b/k", 3);
    wire.send("abc and more\r\n\r\n");
    assert_eq!(wire.reply().status, 200);
    let rest = String::from_utf8_lossy(&wire.rest()).into_owned();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400 "), "{rest}");
    assert_eq!(daemon.wire().call("GET", "/v1/kv/b/k").body, b"abc");
}

#[test]
fn bad_chunk_sizes_leave_nothing() {
    let daemon = Daemon::start();
    for chunk in [
        "xyz\r\nabc\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "\r\n\r\n",
        "ffffffffffffffffff\r\na\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
    ] {
        let request = format!(
            "PUT /v1/kv/b/k HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
        );
        let reply = last_words(&daemon, request);
        assert!(!reply.contains("HTTP/1.1 200"), "{chunk:?}: {reply}");
        is_unharmed(&daemon);
    }
}

#[test]
fn absurd_lengths_are_refused() {
    let daemon = Daemon::with(|config| config.put_stall_timeout = Duration::from_millis(200));
    for lengths in [
        "Content-Length: 18446744073709551615",
        "Content-Length: 18446744073709551613",
        "Content-Length: 99999999999999999999999999",
        "Content-Length: -1",
        "Content-Length: +3",
        "Content-Length: 3.0",
        "Content-Length: 0x10",
        "Content-Length:",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
    ] {
        let request = format!("PUT /v1/kv/b/k HTTP/1.1\r\nHost: d\r\n{lengths}\r\n\r\nabc");
        let reply = last_words(&daemon, request);
        let status = reply.split(' ').nth(1).unwrap_or("none");
        assert!(status.starts_with('4') || status == "none", "{lengths}: {reply}");
        assert_eq!(reply.matches("HTTP/1.1").count(), usize::from(status != "none"), "{reply}");
        is_unharmed(&daemon);
    }
}

/// Status of the only reply to this request.
fn status_of(daemon: &Daemon, request: &str) -> u16 {
    let reply = last_words(daemon, request);
    assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{request:?}: {reply}");
    reply.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn every_ambiguous_head_has_its_status() {
    let daemon = Daemon::start();
    let put = |headers: &str| {
        format!("PUT /v1/kv/b/k HTTP/1.1\r\n{headers}\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    };
    for (headers, status) in [
        ("Transfer-Encoding: chunked", 400),
        ("Host: d\r\nHost: d\r\nTransfer-Encoding: chunked", 400),
        ("Host: d\r\nHost: other\r\nTransfer-Encoding: chunked", 400),
        ("Host: d\r\nTransfer-Encoding: gzip, chunked", 501),
        ("Host: d\r\nTransfer-Encoding: chunked, chunked", 400),
        ("Host: d\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("Host: d\r\nContent-Length: 18446744073709551615", 413),
        ("Host: d\r\nContent-Length: 18446744073709551614", 413),
        ("Host: d\r\nContent-Length: 18446744073709551613", 413),
    ] {
        assert_eq!(status_of(&daemon, &put(headers)), status, "{headers}");
        is_unharmed(&daemon);
    }
    assert_eq!(status_of(&daemon, "GET /healthz HTTP/1.1\r\n\r\n"), 400, "no Host");
    assert_eq!(status_of(&daemon, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400, "HTTP/2");
}

#[test]
fn an_endless_body_is_refused_as_soon_as_it_is_too_large() {
    let daemon = Daemon::with(|config| config.object_len_max = ByteSize::mib(1));
    let mut wire = daemon.wire();
    wire.begin_chunked_put("/v1/kv/b/k");
    let piece = bytes(64 << 10, 1);
    (0..40).for_each(|_| wire.send_chunk(&piece));
    // No end follows.
    let reply = wire.reply();
    assert_eq!(reply.refusal(), refused(413, "too_large"));
    assert_eq!(reply.header("connection"), Some("close"));
    wire.rest();
    let mut wire = daemon.wire();
    wire.begin_put("/v1/kv/b/k", 1 << 40);
    assert_eq!(wire.reply().refusal(), refused(413, "too_large"));
    is_unharmed(&daemon);
}

#[test]
fn a_name_that_was_rebound_to_the_loopback_interface_is_not_answered() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    for (host, status) in [
        ("evil.example", 421),
        ("evil.example:9200", 421),
        ("localhost", 200),
        ("127.0.0.1:1", 200),
    ] {
        let request =
            format!("GET /v1/kv/b/k HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(status_of(&daemon, &request), status, "{host}");
    }
    let absolute = "DELETE http://evil.example/v1/kv/b/k HTTP/1.1\r\nHost: d\r\n\r\n";
    assert_eq!(status_of(&daemon, absolute), 421);
    assert_eq!(daemon.status_of("k"), 200);
}

#[test]
fn a_request_with_two_framings_is_not_taken_for_two_requests() {
    let daemon = Daemon::start();
    let smuggled = "0\r\n\r\nDELETE /v1/kv/b/k HTTP/1.1\r\nHost: d\r\n\r\n";
    let len = smuggled.len();
    daemon.put("k", b"abc");
    let request = format!(
        "PUT /v1/kv/b/x HTTP/1.1\r\nHost: d\r\nContent-Length: {len}\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{smuggled}"
    );
    last_words(&daemon, request);
    assert_eq!(daemon.status_of("k"), 200);
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let reply = last_words(&daemon, "GET /v1/kv/b/k HTTP/1.0\r\n\r\n");
    assert!(reply.starts_with("HTTP/1.0 200 ") && reply.ends_with("\r\n\r\nabc"), "{reply}");
    let reply = last_words(&daemon, "PUT /v1/kv/b/2 HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc");
    assert!(reply.starts_with("HTTP/1.0 200 "), "{reply}");
    assert_eq!(daemon.status_of("2"), 200);
}

#[test]
fn a_connection_is_closed_when_the_client_wants_it() {
    let daemon = Daemon::start();
    let request = "GET /healthz HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";
    let reply = last_words(&daemon, request);
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("ok\n"), "{reply}");
}

#[test]
fn a_body_where_none_is_wanted_does_no_harm() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    wire.send("GET /healthz HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(wire.reply().status, 200);
    assert_eq!(wire.call("GET", "/v1/kv/b/k").refusal(), refused(404, "not_found"));
}
