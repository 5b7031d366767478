//! The live curve of a daemon: what it tells after requests whose hits are known.

use kvlease_api::CurveReply;
use kvlease_harness::until;
use kvlease_types::ByteSize;

use crate::daemon::{Daemon, WAIT_MAX};

/// Length of an object: the arena has room for sixteen.
const LEN: usize = 1 << 20;

/// Objects that come in turns: with LRU, an arena that has room for fewer has none of them.
const OBJECTS: usize = 24;

const ROUNDS: usize = 4;

fn daemon(eviction: &str) -> Daemon {
    Daemon::with(|config| {
        config.curve_memory_max = Some(ByteSize::mib(8));
        config.eviction = eviction.parse().unwrap();
    })
}

/// Stores objects in turns, as a client does whose look-ups ended before them.
fn store_in_turns(daemon: &Daemon) {
    let bytes = vec![7; LEN];
    (0..ROUNDS).flat_map(|_| 0..OBJECTS).for_each(|object| daemon.put(&object.to_string(), &bytes));
}

/// The curve when it has followed this many references.
fn curve_after(daemon: &Daemon, references: usize) -> CurveReply {
    let curve = until(WAIT_MAX, || {
        let curve = daemon.stats().curve.unwrap();
        (curve.references.ceil() >= references as f64).then_some(curve)
    });
    curve.expect("the curve follows the references")
}

/// The status page.
fn wire_text(daemon: &Daemon) -> String {
    daemon.wire().call("GET", "/").text()
}

fn hit_ratio(curve: &CurveReply, policy: &str, times: f64) -> f64 {
    let point = curve.points.iter().find(|p| p.policy == policy && p.times == times);
    point.unwrap().hit_ratio
}

#[test]
fn the_curve_tells_what_more_memory_would_give() {
    let daemon = daemon("lru");
    store_in_turns(&daemon);
    let curve = curve_after(&daemon, ROUNDS * OBJECTS);
    assert_eq!((curve.sample_rate, curve.chooses), (1.0, false));
    assert!(curve.summary.starts_with("too few references"), "{}", curve.summary);
    assert_eq!(hit_ratio(&curve, "lru", 1.0), 0.0, "each object left before it came again");
    for times in [2.0, 8.0] {
        let most = (ROUNDS - 1) as f64 / ROUNDS as f64;
        let ratio = hit_ratio(&curve, "lru", times);
        assert!((ratio - most).abs() < 0.01, "all but the first round: {ratio}");
    }
    let capacities: Vec<_> =
        curve.points.iter().take(6).map(|point| point.capacity >> 20).collect();
    assert_eq!(capacities, [4, 8, 16, 32, 64, 128]);
    let metrics = daemon.metrics();
    let series = "kvlease_curve_hit_ratio{policy=\"lru\",capacity=\"2\"} 0.7";
    assert!(metrics.contains(series), "{metrics}");
    assert!(metrics.contains("kvlease_eviction_policy{policy=\"lru\"} 1"), "{metrics}");
}

#[test]
fn a_daemon_without_a_curve_tells_none() {
    let daemon = Daemon::start();
    let stats = daemon.stats();
    assert_eq!(stats.curve, None);
    let state = stats.eviction_state.unwrap();
    assert_eq!((state.policy.as_str(), state.setting.as_str()), ("hit-density", "hit-density"));
    assert_eq!((state.reason.as_str(), state.changes), ("cache.eviction says so", 0));
    assert_eq!((state.hit_ratios, state.chosen, state.changing), (Vec::new(), None, false));
    assert!(!daemon.metrics().contains("kvlease_curve"));
}

#[test]
fn a_policy_that_is_chosen_is_named() {
    let daemon = daemon("auto");
    let curve = curve_after(&daemon, 0);
    assert!(curve.chooses);
    let stats = daemon.stats();
    assert_eq!(stats.eviction, "hit-density", "the first one");
    let state = stats.eviction_state.unwrap();
    assert_eq!((state.policy.as_str(), state.setting.as_str()), ("hit-density", "auto"));
    assert!(state.in_force_s > 0.0, "{}", state.in_force_s);
    assert!(state.reason.starts_with("the first one"), "{}", state.reason);
    let policies: Vec<_> = state.hit_ratios.iter().map(|ratio| ratio.policy.as_str()).collect();
    assert_eq!(policies, ["lru", "s3-fifo", "hit-density"]);
    assert!(wire_text(&daemon).contains("Eviction policy hit-density: the first one"));
}
