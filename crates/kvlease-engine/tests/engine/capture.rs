//! The capture: what it has of each request, its files, and what it leaves alone.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use kvlease_arena::{Arena, SegmentOptions};
use kvlease_engine::{CaptureConfig, Engine, EngineConfig, LineFilesError, StartError, StoreItem};
use kvlease_sys::FingerprintKey;
use kvlease_types::{BucketName, ByteSize, Caller, Checksum, Epoch, Key, Mode};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::{CALLER, CAPACITY, GRACE, Place, TTL, begin, limits, store};

/// A process with two connections of the fast lane, and a client of HTTP.
const LANE: [Caller; 2] = [Caller::lane(1, 0, 0, Some(7)), Caller::lane(2, 0, 0, Some(7))];

fn http() -> Caller {
    Caller::http(([127, 0, 0, 1], 80).into())
}

fn config(path: &Path) -> CaptureConfig {
    CaptureConfig {
        path: path.to_owned(),
        file_len_max: ByteSize::mib(1),
        files_max: 3,
        secret: FingerprintKey::new([9; FingerprintKey::LEN]),
        id: 5,
    }
}

fn engine(place: &Place, epoch: u64, capture: CaptureConfig) -> Engine {
    place.engine_with(epoch, |config| config.capture = Some(capture))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "lines are whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_default()
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

async fn over_http(engine: &Engine, bucket: &BucketName) {
    let mut put = engine.put(&http(), bucket.clone(), key("secret-1"), None).unwrap();
    put.write(&[1; 5_000]).unwrap();
    put.seal().unwrap();
    assert!(engine.put(&http(), bucket.clone(), key("secret-1"), Some(ByteSize::new(7))).is_err());
    let mut read = engine.read(&http(), "secret-bucket", "secret-1").unwrap();
    while read.next_piece().unwrap().is_some() {}
    assert!(engine.read_or_load(&http(), "secret-bucket", "secret-2", later()).await.is_err());
    engine.looked_up(&http(), "secret-bucket", "secret-1", true);
}

async fn over_the_lane(engine: &Engine, bucket: &BucketName) {
    let items = vec![(key("secret-2"), ByteSize::new(10)), (key("secret-1"), ByteSize::new(20))];
    let reserved = engine.reserve(&LANE[0], bucket, items, limits(9));
    let reserved = reserved.into_iter().flatten().map(|write| (write, Checksum::new(1))).collect();
    assert!(engine.commit(&LANE[0], reserved)[0].is_ok());
    let spare = engine.prepare(&LANE[0], [ByteSize::new(30)].into_iter(), limits(9)).remove(0);
    let (reservation, len) = (spare.unwrap(), ByteSize::new(30));
    let item = StoreItem { reservation, key: key("secret-3"), len, checksum: Checksum::new(1) };
    assert!(engine.store(&LANE[0], bucket, vec![item])[0].is_ok());
    let keys = ["secret-1", "secret-2", "secret-4", "secret-3"];
    let grants = engine.acquire(&LANE[1], "secret-bucket", &keys, Mode::Each, None);
    let lease = grants.outcomes()[1].as_ref().unwrap();
    assert_eq!(
        engine.note_reads(&LANE[1], &[(lease.slot, lease.generation), (99, 0)], 2),
        [true, false]
    );
    drop(grants);
    drop(engine.acquire(&LANE[1], "secret-bucket", &["secret-4", "secret-1"], Mode::Prefix, None));
    engine.exists(&LANE[1], "secret-bucket", &keys, Mode::Prefix);
    engine.exists_or_ask(&LANE[1], "secret-bucket", &keys[..1], Mode::Each, later()).await;
    engine.remove(&LANE[1], "secret-bucket", &["secret-3", "secret-4"]);
    engine.remove_everywhere(&LANE[1], "secret-bucket", &["secret-1"]).await;
}

#[tokio::test]
async fn every_request_leaves_a_line_with_hashes_in_place_of_names() {
    let (place, dir) = (Place::new(), TempDir::new().unwrap());
    let path = dir.path().join("capture");
    let engine = engine(&place, 1, config(&path));
    let bucket = BucketName::new("secret-bucket").unwrap();
    over_http(&engine, &bucket).await;
    over_the_lane(&engine, &bucket).await;
    let counters = engine.stats().counters;
    drop(engine);
    let lines = lines(&path);
    let calls: Vec<_> = lines[1..]
        .iter()
        .map(|line| {
            let len = if line["len"].is_null() { &line["lens"] } else { &line["len"] };
            let via = text(line, "by").chars().next().unwrap();
            (via, text(line, "op"), text(line, "found"), len.to_string())
        })
        .collect();
    let calls: Vec<_> =
        calls.iter().map(|(via, op, found, len)| (*via, *op, *found, len.as_str())).collect();
    let expected = [
        ('h', "put", "1", "5000"),
        ('h', "put", "x", "7"),
        ('h', "get", "1", "5000"),
        ('h', "get", "0", "null"),
        ('h', "exists", "1", "null"),
        ('l', "put", "x", "20"),
        ('l', "put", "1", "10"),
        ('l', "put", "1", "30"),
        ('l', "get", "1101", "[5000,10,0,30]"),
        ('l', "read", "1", "10"),
        ('l', "get_prefix", "0-", "null"),
        ('l', "exists_prefix", "110-", "null"),
        ('l', "exists", "1", "null"),
        ('l', "remove", "10", "null"),
        ('l', "remove", "1", "null"),
    ];
    assert_eq!(calls, expected);
    assert_eq!((counters.capture_calls_dropped, lines.len()), (0, 1 + expected.len()));
    // The same name has the same hash, and others have others.
    let keys: BTreeSet<&str> = lines[1..]
        .iter()
        .flat_map(|line| line["keys"].as_array().unwrap())
        .map(|key| key.as_str().unwrap())
        .collect();
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|key| key.len() == 16));
    let distinct =
        |field| lines[1..].iter().map(|line| text(line, field)).collect::<BTreeSet<_>>().len();
    assert_eq!((distinct("bucket"), distinct("by"), distinct("on")), (1, 2, 3));
    let times: Vec<u64> = lines[1..].iter().map(|line| line["at"].as_u64().unwrap()).collect();
    assert!(times.is_sorted());
    let written = fs::read_to_string(&path).unwrap();
    for name in ["secret-", "127.0.0.1", "\"7\""] {
        assert!(!written.contains(name), "{name}");
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

fn later() -> tokio::time::Instant {
    tokio::time::Instant::now() + TTL
}

#[tokio::test]
async fn what_was_waited_for_has_a_second_line() {
    let (place, dir) = (Place::new(), TempDir::new().unwrap());
    let path = dir.path().join("capture");
    let engine = engine(&place, 1, config(&path));
    let mut put = begin(&engine, "k", Some(3)).unwrap();
    let mut grants = engine.acquire(&LANE[0], "b", &["other", "k"], Mode::Each, None);
    put.write(b"abc").unwrap();
    put.seal().unwrap();
    engine.await_pending(&mut grants, "b", &["", "k"], Mode::Each, later()).await;
    drop((grants, engine));
    let lines = lines(&path);
    let calls: Vec<_> =
        lines[1..].iter().map(|line| (text(line, "op"), text(line, "found"))).collect();
    assert_eq!(calls, [("get", "0p"), ("put", "1"), ("late", "1")]);
    assert_eq!(lines[1]["keys"][1], lines[3]["keys"][0]);
}

#[test]
fn the_objects_of_checkpoints_are_not_in_it() {
    let (place, dir) = (Place::new(), TempDir::new().unwrap());
    let path = dir.path().join("capture");
    let engine = engine(&place, 1, config(&path));
    let bucket = BucketName::retained("job").unwrap();
    let put = engine.put(&CALLER, bucket, Key::new("k").unwrap(), Some(ByteSize::ZERO)).unwrap();
    put.seal().unwrap();
    drop(engine);
    assert_eq!(lines(&path).len(), 1);
}

#[test]
fn files_are_bounded_and_the_oldest_go() {
    let (place, dir) = (Place::new(), TempDir::new().unwrap());
    let path = dir.path().join("capture");
    let engine = engine(&place, 1, config(&path));
    let keys: Vec<String> = (0..1_024).map(|number| format!("key-{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    // Each line takes about 20 KB, so that the files are filled twice.
    let mut written = 0;
    while written < 6 << 20 {
        for _ in 0..10 {
            engine.exists(&LANE[0], "b", &keys, Mode::Each);
        }
        crate::fixture::until("what was asked for", || {
            let counters = engine.stats().counters;
            written = counters.capture_written;
            counters.capture_calls.is_multiple_of(10) && counters.capture_calls > 0
        });
    }
    let calls = engine.stats().counters.capture_calls;
    drop(engine);
    let mut names: Vec<PathBuf> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let name = |behind: &str| dir.path().join(format!("capture{behind}"));
    assert_eq!(names, ["", ".1", ".2"].map(name));
    let parts: Vec<u64> =
        names.iter().map(|name| lines(name)[0]["part"].as_u64().unwrap()).collect();
    assert_eq!(parts, [parts[2] + 2, parts[2] + 1, parts[2]]);
    for name in &names {
        assert!(fs::metadata(name).unwrap().len() <= 1 << 20);
        assert_eq!(fs::metadata(name).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let kept: usize = names.iter().map(|name| lines(name).len() - 1).sum();
    assert!(kept > 0 && (kept as u64) < calls, "{kept} of {calls}");
}

#[test]
fn the_next_daemon_begins_a_file_of_its_own_with_the_same_hashes() {
    let (place, dir) = (Place::new(), TempDir::new().unwrap());
    let path = dir.path().join("capture");
    for epoch in 1..=2 {
        let engine = engine(&place, epoch, config(&path));
        engine.exists(&LANE[0], "b", &["k"], Mode::Each);
    }
    let (earlier, later) = (lines(&dir.path().join("capture.1")), lines(&path));
    assert_eq!(earlier[0]["secret"], later[0]["secret"]);
    assert_eq!(earlier[1]["keys"], later[1]["keys"]);
    let mut other = config(&path);
    other.secret = FingerprintKey::new([8; FingerprintKey::LEN]);
    let engine = engine(&place, 3, other);
    engine.exists(&LANE[0], "b", &["k"], Mode::Each);
    drop(engine);
    let other = lines(&path);
    assert_ne!(other[0]["secret"], later[0]["secret"]);
    assert_ne!(other[1]["keys"], later[1]["keys"]);
}

/// Error of an engine with this capture.
fn refused(place: &Place, capture: CaptureConfig) -> LineFilesError {
    let options = SegmentOptions {
        dir: place.segment().parent().unwrap().to_owned(),
        ..SegmentOptions::new("segment".parse().unwrap(), CAPACITY, TTL + GRACE)
    };
    let catalog = kvlease_cache::CatalogConfig { capacity: CAPACITY, ..Default::default() };
    let key = FingerprintKey::new([7; FingerprintKey::LEN]);
    let config = EngineConfig { capture: Some(capture), ..EngineConfig::new(catalog, TTL, key) };
    match Engine::start(Arena::open(&options).unwrap(), config, Epoch::new(9)) {
        Err(StartError::Capture(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_capture_is_left_alone() {
    let (place, dir) = (Place::new(), TempDir::new().unwrap());
    let path = dir.path().join("capture");
    let foreign = dir.path().join("foreign");
    fs::write(&foreign, "precious").unwrap();
    for name in ["capture", "capture.2"] {
        let name = dir.path().join(name);
        fs::copy(&foreign, &name).unwrap();
        assert!(
            matches!(refused(&place, config(&path)), LineFilesError::Foreign { path, .. } if path == name)
        );
        fs::remove_file(&name).unwrap();
        symlink(&foreign, &name).unwrap();
        assert!(
            matches!(refused(&place, config(&path)), LineFilesError::Foreign { path, .. } if path == name)
        );
        fs::remove_file(&name).unwrap();
    }
    assert_eq!(fs::read(&foreign).unwrap(), b"precious");
    let nowhere = dir.path().join("no/such/directory");
    assert!(matches!(refused(&place, config(&nowhere)), LineFilesError::Io { .. }));
    // While a daemon writes it, no other does.
    let other = Place::new();
    let writer = engine(&other, 1, config(&path));
    assert!(matches!(refused(&place, config(&path)), LineFilesError::InUse { .. }));
    drop(writer);
    // The begin of a header is all that a daemon left which was killed there.
    fs::write(&path, "{\"kvlease_cap").unwrap();
    drop(engine(&place, 2, config(&path)));
    assert_eq!(lines(&path).len(), 1);
}

#[test]
fn a_file_that_cannot_be_written_costs_calls_and_no_request() {
    let (place, dir) = (Place::new(), TempDir::new().unwrap());
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("capture");
    let engine =
        engine(&place, 1, CaptureConfig { file_len_max: ByteSize::new(300), ..config(&path) });
    fs::remove_dir_all(&inner).unwrap();
    for _ in 0..3 {
        engine.exists(&LANE[0], "b", &["k", "l", "m", "n"], Mode::Each);
    }
    assert!(store(&engine, "k", b"abc").is_ok());
    let missing = 4;
    let dropped = || engine.stats().counters.capture_calls_dropped;
    crate::fixture::until("the loss", || dropped() == missing);
    fs::create_dir(&inner).unwrap();
    drop(engine);
    // Each line has a file of its own, and the last one is that of the missing calls.
    assert_eq!(lines(&path)[1]["dropped"].as_u64(), Some(missing));
}

/// Captures of different builds are compared.
#[test]
fn a_line_is_the_golden_one() {
    let (place, dir) = (Place::new(), TempDir::new().unwrap());
    let path = dir.path().join("capture");
    let engine = engine(&place, 1, config(&path));
    engine.exists(&LANE[0], "kv", &["model@1@0@abc@bf16", "é"], Mode::Each);
    drop(engine);
    let text = fs::read_to_string(&path).unwrap();
    let (header, line) = text.split_once('\n').unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let begin = format!(
        "{{\"kvlease_capture\":1,\"program\":\"{version}\",\"capture\":\"0000000000000005\",\"part\":0,\"started_unix_ms\":"
    );
    assert!(header.starts_with(&begin), "{header}");
    assert!(header.ends_with(GOLDEN_SECRET), "{header}");
    let (at, rest) = line.strip_prefix("{\"at\":").unwrap().split_once(',').unwrap();
    assert!(at.parse::<u64>().is_ok(), "{at}");
    assert_eq!(rest, GOLDEN_CALL);
}

const GOLDEN_SECRET: &str = ",\"secret\":\"728384b56c17c5d7\"}";
const GOLDEN_CALL: &str = "\"by\":\"l26a7dbfe\",\"on\":\"b3b2a848\",\"op\":\"exists\",\
    \"bucket\":\"b42b086f\",\"keys\":[\"0c4f62272a2e0de1\",\"f433411a03c48e4b\"],\"found\":\"00\"}\n";
