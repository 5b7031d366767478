//! The daemon that tests start: restarts, signals and clean-up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, panic::AssertUnwindSafe, path::PathBuf, time::Duration};

use kvlease_harness::{
    Daemon, Launch, Payload, Segment, daemon_binary, object, unused_address, wire::Wire,
};

const KEY: &str = "org/model@1";

fn launch() -> Launch {
    Launch::new(daemon_binary(), "8MiB").set(["log.level=info"])
}

fn put(daemon: &Daemon, key: &str) {
    let bytes = Payload::new(key, 1, 10_000).bytes();
    let reply = daemon.call("PUT", &object("b", key), &bytes).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn is_there(daemon: &Daemon, key: &str) -> bool {
    let reply = daemon.call("GET", &object("b", key), b"").unwrap();
    reply.status == 200 && Payload::verify(key, &reply.body) == Ok(1)
}

fn files_of(segment: &Segment) -> [PathBuf; 3] {
    [segment.path(), segment.private_path(), segment.socket_path()]
}

#[test]
fn a_killed_daemon_starts_again_on_its_segment_and_its_address() {
    let address = unused_address();
    let mut daemon = Daemon::start(launch().listen(&address)).unwrap();
    assert_eq!(daemon.url(), format!("http://{address}"));
    put(&daemon, KEY);
    assert_eq!(daemon.keys("b").unwrap(), [KEY]);
    daemon.kill().unwrap();
    assert!(!daemon.is_alive().unwrap());
    daemon.start_again().unwrap();
    assert!(is_there(&daemon, KEY) && daemon.log().contains("starting warm"), "{}", daemon.log());
    assert_eq!(daemon.metric("kvlease_restored_objects").unwrap(), 1.0);
    daemon.kill().unwrap();
    daemon.start_again_as(&daemon.launch().clone().args(["--cold"])).unwrap();
    assert!(!is_there(&daemon, KEY), "other settings were asked for");
    put(&daemon, KEY);
    assert_eq!(daemon.remove_all("b").unwrap(), 1);
    assert_eq!(daemon.terminate().unwrap().code(), Some(0), "{}", daemon.log());
}

#[test]
fn a_stopped_daemon_answers_once_it_goes_on() {
    let daemon = Daemon::start(launch()).unwrap();
    let mut wire = Wire::open(daemon.address());
    daemon.stop().unwrap();
    wire.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(wire.is_silent_for(Duration::from_millis(100)));
    daemon.resume().unwrap();
    assert_eq!(wire.reply().status, 200);
}

#[test]
fn a_panic_ends_the_daemon_and_removes_its_files_even_if_it_is_stopped() {
    let daemon = Daemon::start(launch()).unwrap();
    let (files, address) = (files_of(daemon.segment()), daemon.address());
    assert!(files.iter().all(|file| file.exists()), "{files:?}");
    daemon.stop().unwrap();
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let _daemon = daemon;
        panic!("a failing test");
    }));
    assert!(panicked.is_err());
    assert!(files.iter().all(|file| fs::symlink_metadata(file).is_err()), "{files:?}");
    assert!(Wire::try_open(address).is_err(), "the process is gone");
}

#[test]
fn a_daemon_that_does_not_start_is_an_error_with_its_log() {
    let error = Daemon::start(launch().set(["cache.capasity=1GiB"])).unwrap_err();
    assert!(format!("{error:#}").contains("cache.capasity=`1GiB`"), "{error:#}");
    let error = Daemon::start(Launch::new("/no/such/kvlease", "8MiB")).unwrap_err();
    assert!(format!("{error:#}").contains("/no/such/kvlease"), "{error:#}");
}
