//! Attached clients may be able to write to the segment: a wrong byte is never served.

use std::{fs::File, os::unix::fs::FileExt};

use kvlease_api::LocationsReply;
use kvlease_testing::bytes;

use crate::daemon::Daemon;

/// Daemon without a scrubber, whose first round may come after the damage and before the read: then the
/// object is absent, and not cut short.
fn unscrubbed() -> Daemon {
    Daemon::with(|config| config.scrub_rate = None)
}

/// Changes one byte of an object behind the daemon's back.
fn damage(daemon: &Daemon, key: &str, at: u64) {
    let target = format!("/v1/kv/b/{key}/locations");
    let reply: LocationsReply = daemon.wire().call("GET", &target).json();
    let offset = reply.locations[0].offset + at;
    let segment = File::options().read(true).write(true).open(daemon.segment()).unwrap();
    let mut byte = [0];
    segment.read_exact_at(&mut byte, offset).unwrap();
    segment.write_all_at(&[!byte[0]], offset).unwrap();
}

#[test]
fn a_corrupt_object_is_never_sent_whole() {
    let daemon = unscrubbed();
    for (number, len) in [1, 4096, 300_000, 5 << 20].into_iter().enumerate() {
        let key = len.to_string();
        let sent = bytes(len, 1);
        daemon.put(&key, &sent);
        damage(&daemon, &key, len as u64 / 2);
        let mut wire = daemon.wire();
        wire.send(format!("GET /v1/kv/b/{key} HTTP/1.1\r\nHost: d\r\n\r\n"));
        let got = wire.rest();
        let body =
            got.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| got.len() - at - 4);
        assert!(body < len, "the body ends short: {body} of {len}");
        assert_eq!(daemon.status_of(&key), 404);
        assert_eq!(daemon.metric("kvlease_corrupt_objects_total"), number as f64 + 1.0);
    }
    daemon.until("nothing left", |stats| stats.leases == 0 && stats.free == stats.capacity);
}

#[test]
fn a_corrupt_object_can_be_stored_anew() {
    let daemon = unscrubbed();
    let sent = bytes(100_000, 1);
    daemon.put("k", &sent);
    damage(&daemon, "k", 99_999);
    let mut wire = daemon.wire();
    wire.send("GET /v1/kv/b/k HTTP/1.1\r\nHost: d\r\n\r\n");
    wire.rest();
    daemon.put("k", &sent);
    assert!(daemon.wire().call("GET", "/v1/kv/b/k").body == sent);
}

#[test]
fn a_reported_object_is_removed_only_if_the_daemon_finds_it_corrupt() {
    let daemon = unscrubbed();
    daemon.put("good", &bytes(3 << 20, 1));
    daemon.put("bad", &bytes(3 << 20, 2));
    let generation = |key: &str| daemon.lease(key).generation.unwrap();
    let (good, bad) = (generation("good"), generation("bad"));
    let report = |key: &str, query: String| {
        daemon.wire().call("POST", &format!("/v1/kv/b/{key}/reports{query}")).status
    };
    // Without a read, in which the daemon would find out by itself.
    let status_of = |key: &str| daemon.wire().call("HEAD", &format!("/v1/kv/b/{key}")).status;
    let total = |name: &str| daemon.metric(&format!("kvlease_reports_{name}_total"));
    for _ in 0..3 {
        assert_eq!(report("good", format!("?generation={good}")), 200);
    }
    daemon.eventually("the reports", || total("unfounded") + total("ignored") == 3.0);
    assert!(total("unfounded") >= 1.0);
    assert_eq!(status_of("good"), 200);
    damage(&daemon, "bad", 1 << 20);
    // A report about an object that had the key before is about none.
    assert_eq!(report("bad", format!("?generation={}", bad + 1)), 404);
    assert_eq!(report("absent", String::new()), 404);
    assert_eq!(status_of("bad"), 200);
    assert_eq!(report("bad", format!("?generation={bad}")), 200);
    daemon.eventually("the removal", || status_of("bad") == 404);
    let corrupt = || daemon.metric("kvlease_corrupt_objects_total");
    daemon.eventually("the counts", || (total("confirmed"), corrupt()) == (1.0, 1.0));
    assert_eq!(status_of("good"), 200);
}
