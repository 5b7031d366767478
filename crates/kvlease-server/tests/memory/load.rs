//! Every load that connections can make, as much of it as the daemon lets in.

use std::time::Duration;

use kvlease_api::lane::KeysWriter;
use kvlease_harness::{Daemon, Payload, object};
use kvlease_types::{BucketName, Mode};

use crate::clients::Kind;

/// Buckets that the state lists, with names of 200 characters.
const BUCKETS: usize = 4_000;

/// Object that readers stall on.
const LARGE: usize = 16 << 20;

/// Keys of a frame of nearly a megabyte.
const KEYS: usize = 4_000;

/// Length of each of these keys.
const KEY_LEN: usize = 250;

/// Stores what the load asks for.
pub(crate) fn fill(daemon: &Daemon) {
    let mut wire = daemon.connect().unwrap();
    for n in 0..BUCKETS {
        let bucket = format!("{n:0200}");
        assert_eq!(wire.put(&object(&bucket, "k"), b"x").status, 200);
    }
    let large = Payload::new("large", 1, LARGE).bytes();
    assert_eq!(wire.put(&object("b", "large"), &large).status, 200);
}

/// Kinds of clients that take as much as they get. A write that never ends comes first, for acquires
/// to wait for.
pub(crate) fn kinds() -> Vec<Kind> {
    let stats = "GET /v1/stats?buckets_limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let list = format!("GET /v1/kv/{:0200}?limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n", 7);
    let metrics = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let large = "GET /v1/kv/b/large HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let head = format!("GET /v1/kv/b/k HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(15 << 10));
    vec![
        Kind::http("a pending object", 1, put_head("pending", 100, 1)),
        Kind::lane("half frames", 40, half_frame()),
        Kind::lane("acquires that wait", 40, acquires("pending", 64)),
        Kind::lane("answers that are not taken", 40, acquires("hit", 64)),
        Kind::http("readers of the state", 20, stats.repeat(200).into()),
        Kind::http("readers of listings", 20, list.repeat(20).into()),
        Kind::http("readers of metrics", 20, metrics.repeat(200).into()),
        Kind::http("readers of an object", 40, large.into()),
        Kind::http("uploads", 60, put_head("upload", 2 << 20, 1 << 20)),
        Kind::http("half heads", 600, head.into()),
    ]
}

/// The most clients of one kind with TLS: each takes the place of six.
const ENCRYPTED_MAX: usize = 60;

/// The kinds of HTTP with TLS, and clients that never end their handshake.
pub(crate) fn encrypted_kinds() -> Vec<Kind> {
    let encrypted = kinds().into_iter().filter_map(|kind| kind.encrypted(ENCRYPTED_MAX));
    let unfinished = Kind::handshake("half handshakes", ENCRYPTED_MAX, half_handshake());
    encrypted.chain([unfinished]).collect()
}

/// All but the last byte of the longest greeting of a client, in records as long as they may be.
fn half_handshake() -> Vec<u8> {
    const RECORD_LEN_MAX: usize = 16 << 10;
    // A greeting, with its length in three bytes.
    let message = [&[1, 0, 0xff, 0xf0][..], &[7; 0xfff0 - 1]].concat();
    let record = |part: &[u8]| {
        let [high, low] = (part.len() as u16).to_be_bytes();
        [&[0x16, 3, 1, high, low][..], part].concat()
    };
    message.chunks(RECORD_LEN_MAX).flat_map(record).collect()
}

/// Head of an upload to a key of its own, and the first bytes of the body.
fn put_head(key: &str, len: usize, sent: usize) -> Vec<u8> {
    let target = object("b", key);
    let head = format!("PUT {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n\r\n");
    [head.into_bytes(), vec![7; sent]].concat()
}

/// All but the last byte of the longest frame.
fn half_frame() -> Vec<u8> {
    let mut frame = acquires("pending", 1);
    frame.pop();
    frame
}

/// Frames that acquire one object, named first, and thousands that do not exist.
fn acquires(first: &str, count: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let bucket = BucketName::new("b").unwrap();
    for request in 0..count {
        let wait = Duration::from_secs(30);
        let mut frame = KeysWriter::acquire(&mut out, request, &bucket, Mode::Each, wait, None);
        frame.push(first).unwrap();
        for n in 1..KEYS {
            frame.push(&format!("{n:0KEY_LEN$}")).unwrap();
        }
        frame.finish();
    }
    out
}
