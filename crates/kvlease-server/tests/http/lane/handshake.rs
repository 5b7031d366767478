//! How a connection begins: what the daemon tells, what it passes, and whom it turns away.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{FileExt, MetadataExt},
    time::Duration,
};

use kvlease_api::lane::{
    FRAME_LEN_MAX, FailureCode, Hello, IdsWriter, KEYS_MAX, ReserveStatus, VERSION,
};
use kvlease_testing::bytes;
use kvlease_types::ByteSize;
use rustix::fs::{OFlags, fcntl_getfl};

use super::client::{Client, Raw, ids};
use crate::daemon::{CAPACITY, Daemon};

fn hello(version: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    Hello { version, writes: true }.write(&mut frame, 5);
    frame
}

#[test]
fn the_welcome_tells_what_the_daemon_is_and_takes() {
    let daemon = Daemon::with(|config| {
        config.lease_ttl_max = Duration::from_millis(60_500);
        config.object_len_max = ByteSize::mib(3);
    });
    let client = Client::writer(&daemon);
    let welcome = &client.welcome;
    assert!(welcome.writes);
    assert_eq!(welcome.epoch.to_string(), daemon.stats().epoch);
    assert_eq!((welcome.capacity, welcome.object_len_max), (CAPACITY, ByteSize::mib(3)));
    assert_eq!(welcome.lease_ttl_max, Duration::from_millis(60_500));
    assert_eq!(welcome.reservation_ttl, Duration::from_secs(30));
    assert_eq!(welcome.keys_max as usize, KEYS_MAX);
    assert_eq!(welcome.frame_len_max as usize, FRAME_LEN_MAX);
    assert_eq!(client.generations.metadata().unwrap().len(), welcome.slots * 8);
    assert_eq!(client.arena.metadata().unwrap().len(), welcome.capacity.bytes());
}

#[test]
fn a_reader_can_write_through_neither_descriptor() {
    let daemon = Daemon::start();
    let client = Client::reader(&daemon);
    assert!(!client.welcome.writes);
    for file in [&client.arena, &client.generations] {
        let access = fcntl_getfl(file).unwrap() & OFlags::RWMODE;
        assert_eq!(access, OFlags::RDONLY);
        let refused = file.write_at(b"x", 0).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::BADF.raw_os_error()));
        let refused = file.set_len(1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_writer_can_write_through_the_arena_alone() {
    let daemon = Daemon::start();
    let client = Client::writer(&daemon);
    client.arena.write_all_at(b"x", 0).unwrap();
    client.generations.write_at(b"x", 0).unwrap_err();
}

#[test]
fn where_no_writers_are_allowed_whoever_asks_becomes_a_reader() {
    let daemon = Daemon::with(|config| config.socket_writers = false);
    let mut client = Client::writer(&daemon);
    assert!(!client.welcome.writes);
    client.arena.write_at(b"x", 0).unwrap_err();
    assert_eq!(client.reserve(&[("k", 10)]), [Err(ReserveStatus::NotWritable)]);
    let mut reader = Client::reader(&daemon);
    assert_eq!(reader.reserve(&[("k", 10)]), [Err(ReserveStatus::NotWritable)]);
}

#[test]
fn another_version_is_told_which_one_is_spoken() {
    let daemon = Daemon::start();
    let mut raw = Raw::connect(&daemon);
    raw.send(&hello(VERSION + 1));
    let received = raw.receive();
    assert_eq!((received.request(), received.failure()), (5, FailureCode::Version));
    assert!(format!("{:?}", received.answer()).contains("speaks=`1`"), "{received:?}");
    assert!(raw.is_closed());
}

#[test]
fn whoever_is_no_client_is_told_so_and_closed() {
    let daemon = Daemon::start();
    let mut wrong_magic = hello(VERSION);
    wrong_magic[16] = b'X';
    let mut no_hello = Vec::new();
    ids(IdsWriter::release(&mut no_hello, 5, false), &[1]);
    let cases = [
        (wrong_magic, FailureCode::Version),
        (no_hello, FailureCode::Order),
        (b"GET / HTTP/1.1\r\nHost: daemon\r\n\r\n".to_vec(), FailureCode::Order),
        (bytes(400, 3), FailureCode::Order),
    ];
    for (sent, code) in cases {
        let mut raw = Raw::connect(&daemon);
        raw.send(&sent);
        assert_eq!(raw.receive().failure(), code);
        assert!(raw.is_closed());
    }
}

#[test]
fn a_second_hello_ends_the_connection() {
    let daemon = Daemon::start();
    let mut client = Client::reader(&daemon);
    client.raw.send(&hello(VERSION));
    assert_eq!(client.raw.receive().failure(), FailureCode::Order);
    assert!(client.raw.is_closed());
}

#[test]
fn a_hello_may_come_byte_by_byte_and_with_what_follows() {
    let daemon = Daemon::start();
    let mut slow = Raw::connect(&daemon);
    let frame = hello(VERSION);
    for byte in &frame[..frame.len() - 1] {
        slow.send(&[*byte]);
        assert!(slow.is_silent_for(Duration::from_millis(1)));
    }
    slow.send(&frame[frame.len() - 1..]);
    slow.receive().answer();

    let mut at_once = Raw::connect(&daemon);
    let mut frames = hello(VERSION);
    ids(IdsWriter::release(&mut frames, 6, false), &[1]);
    at_once.send(&frames);
    assert_eq!(at_once.receive().request(), 5);
    assert_eq!(at_once.receive().request(), 6);
}

#[test]
fn a_client_that_says_nothing_is_closed() {
    let daemon = Daemon::start();
    let mut raw = Raw::connect(&daemon);
    raw.send(&hello(VERSION)[..20]);
    assert!(raw.is_closed());
}

#[test]
fn answers_over_http_name_the_incarnation_its_segment_and_the_socket_where_there_is_one() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let (path, segment) = (daemon.socket(), fs::metadata(daemon.segment()).unwrap());
    let epoch = Client::reader(&daemon).welcome.epoch.to_string();
    for (method, target) in
        [("POST", "/v1/kv/b/k/leases"), ("POST", "/v1/kv/b/absent/leases"), ("HEAD", "/v1/kv/b/k")]
    {
        let reply = daemon.wire().call(method, target);
        assert_eq!(reply.header(kvlease_api::SOCKET_HEADER), path.to_str(), "{method}");
        assert_eq!(reply.header(kvlease_api::EPOCH_HEADER), Some(epoch.as_str()), "{method}");
        let segment = format!("{}-{}", segment.dev(), segment.ino());
        assert_eq!(reply.header(kvlease_api::SEGMENT_HEADER), Some(segment.as_str()), "{method}");
    }
    let without = Daemon::with(|config| config.socket = kvlease_server::config::SocketPlace::None);
    without.put("k", b"abc");
    assert!(!without.socket().exists());
    let reply = without.wire().call("GET", "/v1/kv/b/k");
    assert_eq!(reply.header(kvlease_api::SOCKET_HEADER), None);
}

#[test]
fn more_connections_than_allowed_wait_until_one_ends() {
    let daemon = Daemon::with(|config| config.connections_max = 2);
    let first = Client::reader(&daemon);
    let _second = Client::reader(&daemon);
    let mut third = Raw::connect(&daemon);
    third.send(&hello(VERSION));
    daemon.eventually("no place", || daemon.metric("kvlease_connections_full_total") >= 1.0);
    assert!(third.is_silent_for(Duration::from_millis(50)));
    drop(first);
    assert_eq!(third.receive().request(), 5);
}
