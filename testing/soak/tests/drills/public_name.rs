//! The segment's public name is removed, as the exit of some clients does.

use std::{fs, time::Duration};

use kvlease_harness::{await_that, until};

use crate::fixture::{daemon, get, put};

const RELINKS: &str = "kvlease_relinks_total";

/// Promise to clients that want to attach.
const BACK_WITHIN: Duration = Duration::from_secs(1);

#[test]
fn a_removed_public_name_is_back_within_a_second_with_the_same_inode_and_is_counted() {
    let daemon = daemon("16MiB", &[]);
    assert_eq!(put(&daemon, "kept", 100_000), 200);
    let inode = daemon.segment().inode();
    assert!(inode.is_some());
    for relinks in 1..=3 {
        fs::remove_file(daemon.segment().path()).unwrap();
        let back = until(BACK_WITHIN, || daemon.segment().inode());
        assert_eq!(back, inode);
        await_that("the relink is counted", || {
            daemon.metric(RELINKS).unwrap() == f64::from(relinks)
        });
    }
    assert_eq!(get(&daemon, "kept"), 200);
}
