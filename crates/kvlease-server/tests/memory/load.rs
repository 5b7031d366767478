//! Every load that connections can make, as much of it as the daemon lets in.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use kvlease_api::lane::{Hello, KeysWriter, VERSION};
use kvlease_harness::{Daemon, Payload, object};
use kvlease_types::{BucketName, Mode};

/// Buckets that the state lists, with names of 200 characters.
const BUCKETS: usize = 4_000;

/// Object that readers stall on.
const LARGE: usize = 16 << 20;

/// How long a client tries to send more to a daemon that takes nothing.
const SEND_LIMIT: Duration = Duration::from_millis(20);

/// Keys of a frame of nearly a megabyte.
const KEYS: usize = 4_000;

/// Length of each of these keys.
const KEY_LEN: usize = 250;

/// Connections with whatever they did to the daemon.
pub(crate) struct Load {
    http: Vec<TcpStream>,
    lane: Vec<UnixStream>,
    kinds: Vec<(&'static str, usize)>,
}

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

impl Load {
    pub(crate) fn start(daemon: &Daemon) -> Self {
        let mut load = Self { http: Vec::new(), lane: Vec::new(), kinds: Vec::new() };
        // A write that never ends, for acquires to wait for.
        load.http(daemon, "a pending object", 1, &put_head("pending", 100, 1));
        load.lane(daemon, "half frames", 40, &half_frame());
        load.lane(daemon, "acquires that wait", 40, &acquires("pending", 64));
        load.lane(daemon, "answers that are not taken", 40, &acquires("hit", 64));
        let stats = "GET /v1/stats?buckets_limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        load.http(daemon, "readers of the state", 20, stats.repeat(200).as_bytes());
        let list = format!("GET /v1/kv/{:0200}?limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n", 7);
        load.http(daemon, "readers of listings", 20, list.repeat(20).as_bytes());
        let metrics = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        load.http(daemon, "readers of metrics", 20, metrics.repeat(200).as_bytes());
        let large = "GET /v1/kv/b/large HTTP/1.1\r\nHost: localhost\r\n\r\n";
        load.http(daemon, "readers of an object", 40, large.as_bytes());
        load.http(daemon, "uploads", 60, &put_head("upload", 2 << 20, 1 << 20));
        let head =
            format!("GET /v1/kv/b/k HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(15 << 10));
        load.http(daemon, "half heads", 600, head.as_bytes());
        load
    }

    /// Kinds and connections, for the output of the test.
    pub(crate) fn describe(&self) -> String {
        format!("{:?}, {} and {}", self.kinds, self.http.len(), self.lane.len())
    }

    fn http(&mut self, daemon: &Daemon, kind: &'static str, count: usize, bytes: &[u8]) {
        for _ in 0..count {
            let mut stream = TcpStream::connect(daemon.address()).unwrap();
            stream.set_write_timeout(Some(SEND_LIMIT)).unwrap();
            // The daemon may take less, or close.
            let _ = stream.write_all(bytes);
            self.http.push(stream);
        }
        self.kinds.push((kind, count));
    }

    fn lane(&mut self, daemon: &Daemon, kind: &'static str, count: usize, bytes: &[u8]) {
        for _ in 0..count {
            let mut stream = UnixStream::connect(daemon.segment().socket_path()).unwrap();
            stream.set_write_timeout(Some(SEND_LIMIT)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut hello = Vec::new();
            Hello { version: VERSION, writes: true }.write(&mut hello, 0);
            stream.write_all(&hello).unwrap();
            assert!(stream.read(&mut [0; 256]).unwrap() > 0, "a welcome");
            let _ = stream.write_all(bytes);
            self.lane.push(stream);
        }
        self.kinds.push((kind, count));
    }
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
