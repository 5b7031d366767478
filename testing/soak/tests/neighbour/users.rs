//! Two users: the one of the daemon and the neighbour.

use std::{env, fs, process::Command};

use kvlease_soak::neighbour::NEIGHBOUR;

/// Needs of a runner that is not root.
const NEEDED: &str = "the hostile neighbour needs root, or `unshare --map-auto` of util-linux 2.38 \
                      with subordinate users of this user in /etc/subuid and /etc/subgid";

/// Whether this process may start others as the neighbour. If it may not, the test of this name has
/// been run again by a root that may, and has passed there.
///
/// # Panics
///
/// If there is no such root, or if the test failed there.
pub(crate) fn are_two(test: &str) -> bool {
    if rustix::process::geteuid().is_root() && is_mapped() {
        return true;
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-auto", "--map-root-user"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .output();
    let output = output.unwrap_or_else(|error| panic!("{NEEDED}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{NEEDED}\n{printed}{errors}");
    false
}

/// True if the namespace of this process has the neighbour.
fn is_mapped() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        (numbers[0]..numbers[0] + numbers[2]).contains(&u64::from(NEIGHBOUR))
    })
}
