//! The daemon ends and starts again on the same segment: it has the objects of the daemon before,
//! and a client goes on reading one of them under a lease of that one.

use kvlease_harness::{Daemon, KILLED, await_that};
use kvlease_soak::Way;

use crate::{
    fixture::{BUCKET, assert_all_is_free, daemon, get, lease, lease_settings, put, remove},
    process::DrillProcess,
};

const CAPACITY: u64 = 24 << 20;

/// Times to live of the lease, in seconds: the first that is long enough to start again and to fill the arena
/// several times tells.
const TTLS_S: [&str; 4] = ["8", "16", "32", "64"];

const LEN: usize = 700_001;

/// Stores objects until the holder has ended. Returns whether that was far beyond the capacity: all others are
/// evicted.
fn fill_while_held(daemon: &Daemon, holder: &mut DrillProcess) -> bool {
    let (mut stored, mut turn) = (0, 0);
    while holder.is_running() {
        stored += match put(daemon, &format!("new {turn}"), LEN) {
            200 => LEN as u64,
            status => panic!("room for objects is left, status=`{status}`"),
        };
        turn += 1;
    }
    stored > 4 * CAPACITY
}

/// Fate of the leased object after the restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It stays where it is: its lease is none of this daemon's, and keeps it all the same.
    Kept,
    /// It is removed, and its key is stored again with other bytes: they must go elsewhere.
    Replaced,
}

fn drill(way: Way, fate: Fate, end: impl Fn(&mut Daemon)) {
    let told = TTLS_S.into_iter().any(|ttl_s| drill_for(ttl_s, way, fate, &end));
    assert!(told, "no lease was long enough to tell");
}

/// Returns whether the lease was long enough for this drill to tell.
fn drill_for(ttl_s: &str, way: Way, fate: Fate, end: impl Fn(&mut Daemon)) -> bool {
    let mut settings = lease_settings(ttl_s, "0.5").to_vec();
    settings.push("server.drain_timeout_s=1".to_owned());
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let mut daemon = daemon(&CAPACITY.to_string(), &settings);
    let old = ["held", "old 1", "old 2"];
    for key in old {
        assert_eq!(put(&daemon, key, LEN), 200);
    }
    let inode = daemon.segment().inode();
    let mut holder = DrillProcess::hold(&daemon, way, "held", ttl_s);
    end(&mut daemon);
    daemon.start_again().unwrap();
    if !holder.is_running() {
        return false;
    }
    assert_eq!(daemon.segment().inode(), inode);
    for key in old {
        assert_eq!(get(&daemon, key), 200, "{key}");
        assert_eq!(lease(&daemon, key, "ttl_s=0.01").0, 200, "{key}");
        assert_eq!(put(&daemon, key, LEN), 409, "{key}");
    }
    if fate == Fate::Replaced {
        for key in old {
            assert_eq!(remove(&daemon, key), 200, "{key}");
            assert_eq!(get(&daemon, key), 404, "{key}");
        }
        assert!(daemon.stats().unwrap().quarantined >= LEN as u64);
        assert_eq!(put(&daemon, "held", LEN + 4096), 200);
    }
    let is_filled = fill_while_held(&daemon, &mut holder);
    // It fails on a wrong byte, and prints the number of its copies in the end.
    let copies: u64 = holder.last_line().split(' ').next().unwrap().parse().unwrap();
    assert!(copies > 1);
    await_that("the quarantine ends", || daemon.stats().unwrap().quarantined == 0);
    assert_eq!(daemon.segment().inode(), inode);
    daemon.remove_all(BUCKET).unwrap();
    assert_all_is_free(&daemon);
    is_filled
}

#[test]
fn bytes_leased_before_a_sigkill_stay_until_the_deadline_while_all_else_is_evicted() {
    drill(Way::Http, Fate::Kept, kill);
}

#[test]
fn bytes_leased_before_a_sigkill_stay_until_the_deadline_though_their_object_is_replaced() {
    drill(Way::Http, Fate::Replaced, kill);
}

#[test]
fn bytes_leased_over_the_fast_lane_stay_until_the_deadline_after_a_sigkill() {
    drill(Way::Lane, Fate::Replaced, kill);
}

fn kill(daemon: &mut Daemon) {
    let status = daemon.kill().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(KILLED));
}

#[test]
fn bytes_leased_before_a_sigterm_stay_until_the_deadline_and_the_daemon_ends_with_status_0() {
    drill(Way::Http, Fate::Kept, |daemon| {
        let status = daemon.terminate().unwrap();
        assert_eq!(status.code(), Some(0), "{}", daemon.log());
    });
}
