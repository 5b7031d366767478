//! The memory limit of a process, and what the process uses.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// Control groups that were made.
static GROUPS: AtomicU32 = AtomicU32::new(0);

/// Limit of the daemon's memory.
#[derive(Debug)]
pub(crate) enum Limit {
    /// The kernel kills the daemon at the limit.
    ControlGroup(ControlGroup),
    /// No control group can be made here: what the daemon used is compared with the limit.
    Measured,
}

impl Limit {
    pub(crate) fn new(bytes: u64) -> Self {
        ControlGroup::new(bytes).map_or(Self::Measured, Self::ControlGroup)
    }
}

/// Control group of a test. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct ControlGroup(PathBuf);

impl ControlGroup {
    /// A group below that of the test. Fails where the test may not make one.
    fn new(bytes: u64) -> io::Result<Self> {
        let membership = fs::read_to_string("/proc/self/cgroup")?;
        let number = GROUPS.fetch_add(1, Relaxed);
        let name = format!("kvlease-test-{}-{number}", process::id());
        let mut outcome = Err(io::ErrorKind::NotFound.into());
        for line in membership.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            let (root, file) = match controllers {
                "" => ("/sys/fs/cgroup", "memory.max"),
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                _ => continue,
            };
            let path = Path::new(root).join(path.trim_start_matches('/')).join(&name);
            if fs::create_dir(&path).is_err() {
                continue;
            }
            let group = Self(path);
            outcome = fs::write(group.0.join(file), bytes.to_string());
            if outcome.is_ok() {
                return Ok(group);
            }
        }
        outcome.map(|()| unreachable!("a group that was made is returned"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // The kernel takes a moment to see that it is empty; a group that stays limits nothing.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The most memory that the process had at a time, shared memory included.
pub(crate) fn resident_peak(id: u32) -> u64 {
    status(id, "VmHWM:")
}

/// Memory of the process's own: heap and stacks.
pub(crate) fn resident_private(id: u32) -> u64 {
    status(id, "RssAnon:")
}

fn status(id: u32, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}
