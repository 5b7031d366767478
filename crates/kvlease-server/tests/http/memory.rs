//! Memory of connections: it is bounded, and taken before it is used.

use kvlease_testing::bytes;
use kvlease_types::ByteSize;

use crate::{daemon::Daemon, wire::refused};

/// A daemon with the least memory for connections.
fn tight() -> Daemon {
    Daemon::with(|config| {
        config.capacity = Some(ByteSize::mib(32));
        config.connection_memory_max = Some(ByteSize::mib(32));
    })
}

#[test]
fn replies_that_no_client_takes_are_bounded_and_operators_are_served() {
    let daemon = tight();
    let sent = bytes(24 << 20, 1);
    daemon.put("k", &sent);
    daemon.put("small", b"abc");
    // 1/16 of 32 MiB is for replies, and each of these occupies two pieces of 256 KiB.
    let mut stopped: Vec<_> = (0..4).map(|_| daemon.slow_wire()).collect();
    for wire in &mut stopped {
        wire.send("GET /v1/kv/b/k HTTP/1.1\r\nHost: d\r\n\r\n");
    }
    let taken = || daemon.metric("kvlease_connection_memory_bytes") >= f64::from(2 << 20);
    daemon.eventually("four readers", taken);
    for target in ["/v1/kv/b/k", "/v1/kv/b"] {
        let reply = daemon.wire().call("GET", target);
        assert_eq!(reply.refusal(), refused(503, "unavailable"), "{target}");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    assert!(daemon.metric("kvlease_connection_memory_short_total") >= 2.0);
    assert_eq!(daemon.wire().call("GET", "/v1/kv/b/small").body, b"abc", "needs no memory");
    assert_eq!(daemon.wire().call("GET", "/readyz").status, 200);
    assert_eq!(daemon.stats().objects, 2);
    assert!(stopped.swap_remove(0).reply().body == sent, "it may go on later");
    assert!(daemon.wire().call("GET", "/v1/kv/b/k").body == sent);
    drop(stopped);
    // The metrics themselves are a reply.
    let left = || daemon.metric("kvlease_connection_memory_bytes") < f64::from(1 << 20);
    daemon.eventually("the end of the readers", left);
}

#[test]
fn uploads_beyond_the_memory_for_large_buffers_are_stored_all_the_same() {
    let daemon = tight();
    // An eighth of 32 MiB is for the buffers of uploads, 512 KiB each.
    let mut wires: Vec<_> = (0..12).map(|_| daemon.wire()).collect();
    for (n, wire) in wires.iter_mut().enumerate() {
        assert_eq!(wire.put(&format!("/v1/kv/b/{n}"), &bytes(300_000, n as u64)).status, 200);
    }
    for n in 0..12 {
        let reply = daemon.wire().call("GET", &format!("/v1/kv/b/{n}"));
        assert!(reply.body == bytes(300_000, n), "{n}");
    }
}
