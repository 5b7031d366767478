//! Arenas of tenants, as operators and clients of a daemon in a process of its own meet them.

use kvlease_client::{ClientConfig, Connector, ConnectorConfig, Key, PutOutcome};
use kvlease_harness::{Daemon, Endpoint, Launch, SOON, Segment, until, unused_address};
use kvlease_testing::bytes;
use rustix::process::geteuid;

use crate::program::{launch, run, run_on};

/// A daemon whose tenant `red`, which has an arena on `segment` and a listener at `address`, is this
/// process. The other one is for operators.
fn settings(segment: &Segment, address: &str, capacity: &str) -> Launch {
    launch().set([
        format!("arena.red.capacity={capacity}"),
        format!("arena.red.shared_memory_name={}", segment.name()),
        format!("listener.red.address={address}"),
        format!("tenant.red.uids={}", geteuid().as_raw()),
        "tenant.red.arena=red".to_owned(),
        "tenant.red.listeners=red".to_owned(),
        "tenant.red.read=*".to_owned(),
        "tenant.red.write=*".to_owned(),
        "tenant.operators.listeners=server".to_owned(),
        "tenant.operators.admin=true".to_owned(),
        "tenant.operators.read=*".to_owned(),
    ])
}

fn connector(address: &str) -> Connector {
    let config = ClientConfig::new(format!("http://{address}").parse().unwrap());
    Connector::new(ConnectorConfig::new(config))
}

fn of_red(daemon: &Daemon, series: &str) -> f64 {
    daemon.metric(&format!("{series}{{arena=\"red\"}}")).unwrap()
}

#[tokio::test]
async fn a_tenant_has_its_arena_over_the_fast_lane_and_again_after_a_kill() {
    let (segment, address) = (Segment::new(), unused_address());
    let mut daemon = Daemon::start(settings(&segment, &address, "64MiB")).unwrap();
    let key = Key::new("k").unwrap();
    let body = bytes(300_000, 1);
    {
        let connector = connector(&address);
        // The first call finds the lane by its answer.
        assert!(!connector.exists(&key).await.unwrap());
        assert_eq!(connector.put(&key, body.clone()).await.unwrap(), PutOutcome::Stored);
        assert!(connector.get(&key).await.unwrap() == Some(body.clone()));
    }
    assert_eq!(of_red(&daemon, "kvlease_arena_written_bytes_total"), 300_000.0);
    assert_eq!(daemon.stats().unwrap().objects, 0, "the first arena has nothing of it");
    let hidden = daemon.call("GET", "/v1/kv/lmcache/k", b"").unwrap();
    assert_eq!(hidden.status, 404, "another tenant has another arena");
    let inode = segment.inode();
    daemon.kill().unwrap();
    daemon.start_again().unwrap();
    assert_eq!((of_red(&daemon, "kvlease_arena_objects"), segment.inode()), (1.0, inode));
    assert!(connector(&address).get(&key).await.unwrap() == Some(body));
    assert!(daemon.terminate().unwrap().success());
    assert!(segment.inode().is_some(), "an arena stays where its daemon ends");
}

#[test]
fn the_state_and_the_first_lines_name_all_arenas() {
    let (segment, address) = (Segment::new(), unused_address());
    let daemon = Daemon::start(settings(&segment, &address, "32MiB")).unwrap();
    let shown = String::from_utf8(run_on(&daemon, &["status"], b"").stdout).unwrap();
    let line = shown.lines().find(|line| line.contains("arena      red: ")).expect("it is named");
    for part in ["32.0MiB", segment.name(), "tenants red"] {
        assert!(line.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("arena      default: "), "{shown}");
    let of_red = |args: &[&str], stdin: &[u8]| {
        run(&[&["--url", &format!("http://{address}")], args].concat(), stdin)
    };
    assert!(of_red(&["put", "k", "-"], b"bytes").status.success());
    // It may not ask for the state, which names the segment.
    assert_eq!(of_red(&["get", "k", "-"], b"").stdout, b"bytes");
    let first = daemon.output();
    assert!(first.contains("arena    `red`: ") && first.contains(segment.name()), "{first}");
}

#[test]
fn a_throwaway_daemon_leaves_no_arena_behind() {
    let (segment, address) = (Segment::new(), unused_address());
    let launch = settings(&segment, &address, "32MiB").args(["--throwaway"]);
    let mut daemon = Daemon::start(launch).unwrap();
    assert!(segment.inode().is_some() && segment.socket_path().exists());
    assert!(daemon.terminate().unwrap().success());
    assert!(segment.is_absent() && daemon.segment().is_absent());
}

#[test]
fn an_arena_that_does_not_fit_beside_the_first_is_named_and_nothing_is_left() {
    let (segment, address) = (Segment::new(), unused_address());
    let mut daemon = Daemon::new(settings(&segment, &address, "32TiB")).unwrap();
    daemon.spawn().unwrap();
    assert_eq!(daemon.wait().unwrap().code(), Some(73));
    let log = daemon.log();
    assert!(log.contains("in the arena `red`: `capacity` is larger than"), "{log}");
    assert!(segment.is_absent() && daemon.segment().is_absent(), "{log}");
}

#[test]
fn arenas_are_drained_before_the_daemon_ends() {
    let (segment, address) = (Segment::new(), unused_address());
    let mut daemon = Daemon::start(settings(&segment, &address, "32MiB")).unwrap();
    let red = Endpoint::at(address.parse().unwrap());
    assert_eq!(red.call("PUT", "/v1/kv/b/k", b"bytes").unwrap().status, 200);
    let lease = red.call("POST", "/v1/kv/b/k/leases?ttl_s=30", b"").unwrap();
    let lease: serde_json::Value = serde_json::from_slice(&lease.body).unwrap();
    daemon.ask_to_end().unwrap();
    let refused = || red.call("PUT", "/v1/kv/b/new", b"x").is_ok_and(|reply| reply.status == 503);
    assert!(until(SOON, || refused().then_some(())).is_some(), "no new object is taken");
    assert!(daemon.is_alive().unwrap(), "a lease lives");
    let release = format!("/v1/leases/{}/release", lease["id"].as_str().unwrap());
    assert_eq!(red.call("POST", &release, b"").unwrap().status, 200);
    assert!(daemon.wait().unwrap().success());
}
