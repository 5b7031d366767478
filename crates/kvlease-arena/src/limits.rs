//! Limits on the memory of an arena, checked before a byte of it exists.
//!
//! Three limits hold at once: the file system's size, the memory limits of the daemon's control
//! groups (tmpfs pages count against them, and the kernel kills a process that exceeds one), and the
//! machine's own memory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kvlease_types::ByteSize;
use rustix::fs::statvfs;

use crate::ArenaError;

/// Sources of the limits on memory. The default is this process's own.
#[derive(Clone, Debug)]
pub struct MemoryLimits {
    /// File that lists the process's control groups. Default `/proc/self/cgroup`.
    pub membership: PathBuf,
    /// Mount point of the control groups. Default `/sys/fs/cgroup`.
    pub control_groups: PathBuf,
    /// File that states the machine's memory. Default `/proc/meminfo`.
    pub machine: PathBuf,
    /// Memory that the control groups must have for the daemon beside an arena. Default none.
    pub beside: ByteSize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            membership: "/proc/self/cgroup".into(),
            control_groups: "/sys/fs/cgroup".into(),
            machine: "/proc/meminfo".into(),
            beside: ByteSize::ZERO,
        }
    }
}

/// Version of the control group interface: mounts below the root, and the names of its files.
struct Interface {
    mounts: &'static [&'static str],
    limit: &'static str,
    usage: &'static str,
    file_pages: [&'static str; 2],
}

const V2: Interface = Interface {
    mounts: &["", "unified"],
    limit: "memory.max",
    usage: "memory.current",
    file_pages: ["inactive_file", "active_file"],
};

const V1: Interface = Interface {
    mounts: &["memory"],
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    file_pages: ["total_inactive_file", "total_active_file"],
};

impl MemoryLimits {
    /// Largest new arena that every limit allows in `dir`; zero if `dir` cannot be read.
    pub fn room(&self, dir: &Path) -> ByteSize {
        let mut room = ByteSize::new(u64::MAX);
        // Each round meets a limit below the one before, so this ends at the tightest.
        while let Err(error) = self.check(dir, room) {
            room = match error {
                ArenaError::BeyondFileSystem { free, .. }
                | ArenaError::BeyondControlGroup { free, .. } => free,
                ArenaError::BeyondMachine { available, .. } => available,
                _ => return ByteSize::ZERO,
            };
        }
        room
    }

    /// The daemon's memory at the most: the tightest limit of its control groups, or the machine's
    /// memory. What is in use does not count.
    pub fn memory(&self) -> ByteSize {
        let mut limit = ByteSize::new(u64::MAX);
        self.each_control_group(|group, interface| {
            if let Some(bytes) = number(&group.join(interface.limit)) {
                limit = limit.min(ByteSize::new(bytes));
            }
        });
        let machine = fs::read_to_string(&self.machine).unwrap_or_default();
        kib(&machine, "MemTotal").map_or(limit, |memory| limit.min(ByteSize::kib(memory)))
    }

    /// Refuses a new arena of this size in `dir` if any limit is below it.
    pub(crate) fn check(&self, dir: &Path, capacity: ByteSize) -> Result<(), ArenaError> {
        check_file_system(dir, capacity)?;
        self.check_control_groups(capacity)?;
        self.check_machine(capacity)
    }

    fn check_control_groups(&self, capacity: ByteSize) -> Result<(), ArenaError> {
        let mut outcome = Ok(());
        self.each_control_group(|group, interface| {
            if outcome.is_ok() {
                outcome = check_control_group(group, interface, capacity, self.beside);
            }
        });
        outcome
    }

    /// Calls `each` with every directory whose memory limit holds for this process.
    fn each_control_group(&self, mut each: impl FnMut(&Path, &Interface)) {
        let membership = fs::read_to_string(&self.membership).unwrap_or_default();
        for line in membership.lines() {
            // Groups of controllers other than memory set no limit here.
            let Some((interface, group)) = parse_membership(line) else { continue };
            for mount in interface.mounts {
                // In a container the mount's root may already be the group that the list names
                // by its path outside: then only the root exists, and is the group.
                let root = self.control_groups.join(mount);
                let group = root.join(group.trim_start_matches('/'));
                // The limit of every ancestor holds as well.
                for ancestor in group.ancestors().take_while(|dir| dir.starts_with(&root)) {
                    each(ancestor, interface);
                }
            }
        }
    }

    fn check_machine(&self, capacity: ByteSize) -> Result<(), ArenaError> {
        // Without the file, or without the line, there is no limit to check.
        let Ok(text) = fs::read_to_string(&self.machine) else { return Ok(()) };
        let Some(memory) = kib(&text, "MemAvailable") else { return Ok(()) };
        let swap = kib(&text, "SwapFree").unwrap_or(0);
        let available = ByteSize::kib(memory.saturating_add(swap));
        if capacity > available {
            return Err(ArenaError::BeyondMachine { capacity, available });
        }
        Ok(())
    }
}

fn check_file_system(dir: &Path, capacity: ByteSize) -> Result<(), ArenaError> {
    let stat = statvfs(dir).map_err(ArenaError::io("look at the shared memory directory", dir))?;
    // A tmpfs mounted with `size=0` has no limit of its own and reports no blocks.
    if stat.f_blocks == 0 {
        return Ok(());
    }
    let free = ByteSize::new(stat.f_bavail.saturating_mul(stat.f_frsize));
    if capacity > free {
        let size = ByteSize::new(stat.f_blocks.saturating_mul(stat.f_frsize));
        return Err(ArenaError::BeyondFileSystem { capacity, dir: dir.to_owned(), size, free });
    }
    Ok(())
}

fn check_control_group(
    group: &Path,
    interface: &Interface,
    capacity: ByteSize,
    beside: ByteSize,
) -> Result<(), ArenaError> {
    // Version 2 writes `max` where there is no limit, version 1 a number beyond any machine.
    let limit = number(&group.join(interface.limit));
    let (Some(limit), Some(usage)) = (limit, number(&group.join(interface.usage))) else {
        return Ok(());
    };
    // Pages of ordinary files are counted as used, but the kernel reclaims them before it kills.
    let statistics = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let reclaimable: u64 = statistics
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(key, _)| interface.file_pages.contains(key))
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .sum();
    let used = usage.saturating_sub(reclaimable);
    let free = ByteSize::new(limit.saturating_sub(used).saturating_sub(beside.bytes()));
    if capacity > free {
        let limit = ByteSize::new(limit);
        let path = group.join(interface.limit);
        return Err(ArenaError::BeyondControlGroup { capacity, path, limit, free });
    }
    Ok(())
}

/// The number in a file of one line.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The value of a line of the machine's memory, in KiB.
fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Splits `hierarchy:controllers:path`. Returns the path and the interface of its memory limit, if it
/// has one.
fn parse_membership(line: &str) -> Option<(&'static Interface, &str)> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    match controllers {
        "" => Some((&V2, path)),
        list if list.split(',').any(|name| name == "memory") => Some((&V1, path)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(root: &Path, membership: &str) -> MemoryLimits {
        fs::write(root.join("membership"), membership).unwrap();
        MemoryLimits {
            membership: root.join("membership"),
            control_groups: root.to_owned(),
            machine: root.join("meminfo"),
            beside: ByteSize::ZERO,
        }
    }

    fn group(root: &Path, path: &str, files: &[(&str, &str)]) {
        fs::create_dir_all(root.join(path)).unwrap();
        for (name, text) in files {
            fs::write(root.join(path).join(name), text).unwrap();
        }
    }

    #[test]
    fn the_tightest_ancestor_of_a_version_2_group_decides() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "pod/app", &[("memory.max", "max\n"), ("memory.current", "7\n")]);
        group(
            root.path(),
            "pod",
            &[
                ("memory.max", "1048576\n"),
                ("memory.current", "500000\n"),
                ("memory.stat", "anon 400000\ninactive_file 60000\nactive_file 40000\nshmem 9\n"),
            ],
        );
        let limits = limits(root.path(), "0::/pod/app\n");
        let free = 1_048_576 - 400_000;
        limits.check_control_groups(ByteSize::new(free)).unwrap();
        let error = limits.check_control_groups(ByteSize::new(free + 1)).unwrap_err().to_string();
        assert!(error.starts_with("`capacity`") && error.contains("pod/memory.max"), "{error}");
        assert!(error.contains("free=`648576B`") && error.contains("limit=`1MiB`"), "{error}");
    }

    #[test]
    fn a_version_1_group_seen_from_inside_its_container_is_found_at_the_root() {
        let root = tempfile::tempdir().unwrap();
        let files = [("memory.limit_in_bytes", "8192"), ("memory.usage_in_bytes", "4096")];
        group(root.path(), "memory", &files);
        let limits = limits(root.path(), "4:cpu,memory:/docker/0123\n1:cpuset:/docker/0123\n");
        limits.check_control_groups(ByteSize::new(4096)).unwrap();
        assert!(limits.check_control_groups(ByteSize::new(4097)).is_err());
    }

    #[test]
    fn the_room_is_what_the_tightest_limit_leaves() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "pods", &[("memory.max", "1048576"), ("memory.current", "4096")]);
        group(root.path(), "pods/daemon", &[("memory.max", "2097152"), ("memory.current", "0")]);
        let limits = limits(root.path(), "0::/pods/daemon\n");
        assert_eq!(limits.room(Path::new("/dev/shm")), ByteSize::new(1048576 - 4096));
        assert_eq!(limits.room(Path::new("/nonexistent")), ByteSize::ZERO);
    }

    #[test]
    fn what_the_daemon_needs_beside_the_arena_has_to_fit_as_well() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "pods", &[("memory.max", "1048576"), ("memory.current", "4096")]);
        let mut limits = limits(root.path(), "0::/pods\n");
        limits.beside = ByteSize::new(100_000);
        assert_eq!(limits.room(Path::new("/dev/shm")), ByteSize::new(1048576 - 104096));
        assert_eq!(limits.memory(), ByteSize::mib(1), "whatever is in use");
        fs::write(root.path().join("meminfo"), "MemTotal: 100 kB\n").unwrap();
        assert_eq!(limits.memory(), ByteSize::kib(100));
    }

    #[test]
    fn the_machines_memory_is_a_limit_too() {
        let root = tempfile::tempdir().unwrap();
        let limits = limits(root.path(), "");
        limits.check_machine(ByteSize::gib(1 << 20)).unwrap();
        let text = "MemTotal:       100 kB\nMemAvailable:   70 kB\nSwapFree:  10 kB\n";
        fs::write(root.path().join("meminfo"), text).unwrap();
        limits.check_machine(ByteSize::kib(80)).unwrap();
        let error = limits.check_machine(ByteSize::kib(81)).unwrap_err().to_string();
        assert!(error.contains("available=`80KiB`"), "{error}");
    }
}
