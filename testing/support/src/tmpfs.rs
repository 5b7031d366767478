//! File system for one test.

use std::{env, path::PathBuf, process::Command};

/// Variable that names the file system to the test.
const PLACE: &str = "KVLEASE_TEST_TMPFS";

/// Directory of a tmpfs of this size (such as `16m`) for the test of this name. `None` to the test
/// that was started as usual: it has been run again by then, within a mount namespace, which root
/// and, where user namespaces are allowed, every user may make.
///
/// # Panics
///
/// If there are no mount namespaces, or if the test failed there.
pub fn in_tmpfs_of(size: &str, test: &str) -> Option<PathBuf> {
    if let Ok(place) = env::var(PLACE) {
        return Some(place.into());
    }
    let mount_point = tempfile::tempdir().expect("a directory to mount on");
    let mount = format!("mount -t tmpfs -o size={size},mode=700 tmpfs \"$0\" && exec \"$@\"");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount])
        .arg(mount_point.path())
        .arg(env::current_exe().expect("the test itself"))
        .args(["--exact", test, "--nocapture"])
        .env(PLACE, mount_point.path())
        .output()
        .expect("`unshare` of util-linux runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this test needs mount namespaces\n{printed}\n{errors}");
    assert!(printed.contains("1 passed"), "{printed}");
    None
}
