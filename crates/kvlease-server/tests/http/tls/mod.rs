//! TLS of listeners: real handshakes, real certificates.

mod authority;
mod listeners;
mod reread;

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use kvlease_harness::{Endpoint, until};
use kvlease_server::config::{Config, ListenerConfig, Serves};
use kvlease_testing::bytes;

use crate::daemon::{Daemon, WAIT_MAX};
pub(crate) use authority::Authority;
use authority::{connect, plainly};

fn encrypted(authority: &Authority, change: impl FnOnce(&mut Config)) -> Daemon {
    Daemon::with(|config| {
        authority.configure(config);
        // For what tests ask beside.
        config.listeners.insert("operators".to_owned(), listener(Serves::Operators));
        change(config);
    })
}

/// A plain listener on a free port.
pub(crate) fn listener(serves: Serves) -> ListenerConfig {
    ListenerConfig { address: SocketAddr::from(([127, 0, 0, 1], 0)), serves, tls: None }
}

/// Value of a series of the daemon's metrics.
fn metric(daemon: &Daemon, series: &str) -> f64 {
    Endpoint::at(daemon.listener("operators")).metric(series).unwrap()
}

#[test]
fn objects_go_in_and_out_by_each_version() {
    let authority = Authority::new();
    let daemon = encrypted(&authority, |_| {});
    let big = bytes(9 << 20, 1);
    for version in rustls::ALL_VERSIONS {
        let settings = authority.client(None, &[version]);
        let mut wire = connect(daemon.address, settings).unwrap();
        for (n, sent) in [&[][..], b"abc", &big[..70_000], &big].into_iter().enumerate() {
            let target = format!("/v1/kv/b/{:?}-{n}", version.version);
            assert_eq!(wire.put(&target, sent).status, 200);
            assert!(wire.call("GET", &target).body == sent, "{target}");
        }
        wire.begin_chunked_put(&format!("/v1/kv/b/{:?}-chunked", version.version));
        wire.send_chunk(&big[..300_000]);
        wire.send_chunk(b"");
        assert_eq!(wire.reply().status, 200);
    }
}

#[test]
fn heads_are_judged_as_in_the_clear() {
    let authority = Authority::new();
    let daemon = encrypted(&authority, |_| {});
    let mut wire = authority.open(daemon.address);
    wire.send("PUT /v1/kv/b/k HTTP/1.1\r\nHost: d\r\nContent-Length: 18446744073709551615\r\n\r\n");
    assert_eq!(wire.reply_to_head().status, 413);
    let mut wire = authority.open(daemon.address);
    wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(wire.reply_to_head().status, 400);
    let mut wire = authority.open(daemon.address);
    wire.send("GET /v1/kv/b/k HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(wire.reply().status, 421);
}

#[test]
fn a_plain_request_is_told_to_use_https() {
    let authority = Authority::new();
    let daemon = encrypted(&authority, |_| {});
    let request = "PUT /v1/kv/b/k HTTP/1.1\r\nHost: d\r\nContent-Length: 100000\r\n\r\n";
    let sent = [request.as_bytes(), &bytes(100_000, 1)].concat();
    let answer = String::from_utf8(plainly(daemon.address, &sent)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("\"code\":\"invalid\"") && answer.contains("https://"), "{answer}");
    // Neither a request nor a handshake.
    plainly(daemon.address, &[0x80; 64]);
    let failures = || metric(&daemon, "kvlease_tls_handshake_failures_total");
    assert!(until(WAIT_MAX, || (failures() == 2.0).then_some(())).is_some());
}

#[test]
fn handshakes_have_a_time_limit_and_give_their_place_away() {
    let authority = Authority::new();
    let daemon = encrypted(&authority, |config| {
        config.header_timeout = Duration::from_millis(500);
        config.connections_max = 12;
    });
    // The begin of a handshake, which never goes on.
    let slow: Vec<_> = (0..6)
        .map(|_| {
            let mut stream = TcpStream::connect(daemon.address).unwrap();
            stream.write_all(&[0x16, 3, 1]).unwrap();
            stream
        })
        .collect();
    // The handshake of this one may be held up for as long.
    let answered = || {
        let settings = authority.client(None, rustls::DEFAULT_VERSIONS);
        connect(daemon.address, settings).ok()?.try_call("GET", "/v1/kv/b/k", b"").ok()
    };
    let reply = until(WAIT_MAX, answered).expect("a place is given away");
    assert_eq!(reply.status, 404);
    // Those that are left are the one that asks and the one that was answered.
    daemon.eventually("their end", || metric(&daemon, "kvlease_connections") <= 2.0);
    drop(slow);
}

#[test]
fn a_client_certificate_is_required_where_an_authority_for_it_is_configured() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let daemon = encrypted(&authority, |config| {
        config.tls.client_ca = Some(clients.file("ca.pem"));
    });
    let known = clients.sign("engine-7", false);
    let strange = authority.sign("engine-7", false);
    let expired = clients.sign("engine-7", true);
    for version in rustls::ALL_VERSIONS {
        let status = |identity| {
            let settings = authority.client(identity, &[version]);
            let mut wire = connect(daemon.address, settings).ok()?;
            // Under TLS 1.3 the client learns of a refusal by the answer to its first request.
            wire.try_call("GET", "/v1/kv/b/k", b"").ok().map(|reply| reply.status)
        };
        assert_eq!(status(Some(&known)), Some(404), "{version:?}");
        for refused in [None, Some(&strange), Some(&expired)] {
            assert_eq!(status(refused), None, "{version:?}");
        }
    }
    // Neither do they trust the daemon.
    assert!(connect(daemon.address, clients.client(Some(&known), rustls::ALL_VERSIONS)).is_err());
}

#[test]
fn a_draining_daemon_ends_encrypted_transfers() {
    let authority = Authority::new();
    let mut daemon = encrypted(&authority, |config| config.drain_timeout = WAIT_MAX);
    let body = bytes(1 << 20, 1);
    let mut writer = authority.open(daemon.address);
    writer.begin_put("/v1/kv/b/k", body.len());
    writer.send(&body[..1000]);
    let mut idle = authority.open(daemon.address);
    let operators = daemon.listener("operators");
    let writes = || Endpoint::at(operators).stats().unwrap().writes;
    assert!(until(WAIT_MAX, || (writes() == 1).then_some(())).is_some(), "the write begins");
    let stopped = daemon.begin_shutdown();
    writer.send(&body[1000..]);
    assert_eq!(writer.reply().status, 200);
    stopped();
    assert_eq!((writer.rest(), idle.rest()), (Vec::new(), Vec::new()), "each is told its end");
}
