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
    /// File that states the process's memory. Default `/proc/self/status`.
    pub process: PathBuf,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            membership: "/proc/self/cgroup".into(),
            control_groups: "/sys/fs/cgroup".into(),
            machine: "/proc/meminfo".into(),
            process: "/proc/self/status".into(),
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

/// State of a control group with a memory limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMemory {
    /// File that states the limit.
    pub path: PathBuf,
    /// Limit.
    pub limit: ByteSize,
    /// Rest below the limit; pages that the kernel reclaims count as free.
    pub free: ByteSize,
}

impl MemoryLimits {
    /// Largest new arena that every limit allows in `dir`, for a daemon that needs `own` memory
    /// beside it; zero if there is none, or if `dir` cannot be read.
    pub fn room(&self, dir: &Path, own: ByteSize) -> ByteSize {
        let mut room = ByteSize::new(u64::MAX);
        // Each round meets a limit below the one before, so this ends at the tightest.
        while let Err(error) = self.check(dir, room, own) {
            room = match error {
                ArenaError::BeyondFileSystem { fits, .. }
                | ArenaError::BeyondControlGroup { fits, .. }
                    if fits < room =>
                {
                    fits
                }
                ArenaError::BeyondMachine { available, .. } => available,
                _ => return ByteSize::ZERO,
            };
        }
        room
    }

    /// The control group of this process, or above it, that has the least free memory; `None` if
    /// none has a limit.
    pub fn tightest_group(&self) -> Option<GroupMemory> {
        self.groups().into_iter().min_by_key(|group| group.free)
    }

    /// The daemon's memory at the most: the tightest limit of its control groups, or the machine's
    /// memory. What is in use does not count.
    pub fn memory(&self) -> ByteSize {
        let machine = fs::read_to_string(&self.machine).unwrap_or_default();
        let machine = kib(&machine, "MemTotal").map(ByteSize::kib);
        let limits = self.groups().into_iter().map(|group| group.limit).chain(machine);
        limits.min().unwrap_or(ByteSize::new(u64::MAX))
    }

    /// Refuses a new arena of this size in `dir` if any limit is below it. The daemon needs `own`
    /// memory beside it.
    ///
    /// # Errors
    ///
    /// [`ArenaError`], which names the limit and the largest capacity that it allows.
    pub fn check(&self, dir: &Path, capacity: ByteSize, own: ByteSize) -> Result<(), ArenaError> {
        self.check_beside(dir, capacity, own, ByteSize::ZERO)
    }

    /// As [`MemoryLimits::check`], where others will take what is `promised` to them: it is not free.
    ///
    /// # Errors
    ///
    /// As those.
    pub fn check_beside(
        &self,
        dir: &Path,
        capacity: ByteSize,
        own: ByteSize,
        promised: ByteSize,
    ) -> Result<(), ArenaError> {
        check_file_system(dir, capacity, promised)?;
        self.check_control_groups(capacity, own, promised)?;
        self.check_machine(capacity, promised)
    }

    fn check_control_groups(
        &self,
        capacity: ByteSize,
        own: ByteSize,
        promised: ByteSize,
    ) -> Result<(), ArenaError> {
        // The daemon's own memory so far is part of what it needs beside the arena.
        let counted = ByteSize::new(resident(&self.process).min(own.bytes()));
        for GroupMemory { path, limit, free } in self.groups() {
            let free = ByteSize::new(free.bytes().saturating_add(counted.bytes())).min(limit);
            let free = less(free, promised);
            if capacity.bytes().saturating_add(own.bytes()) > free.bytes() {
                let fits = whole_mib(free.bytes().saturating_sub(own.bytes()));
                return Err(ArenaError::BeyondControlGroup {
                    capacity,
                    path,
                    limit,
                    free,
                    own,
                    fits,
                });
            }
        }
        Ok(())
    }

    /// All control groups of this process and above it that have a limit.
    fn groups(&self) -> Vec<GroupMemory> {
        let membership = fs::read_to_string(&self.membership).unwrap_or_default();
        let mut groups = Vec::new();
        for line in membership.lines() {
            // Groups of controllers other than memory set no limit here.
            let Some((interface, group)) = parse_membership(line) else { continue };
            for mount in interface.mounts {
                // In a container the mount's root may already be the group that the list names
                // by its path outside: then only the root exists, and is the group.
                let root = self.control_groups.join(mount);
                let group = root.join(group.trim_start_matches('/'));
                // The limit of every ancestor holds as well.
                let ancestors = group.ancestors().take_while(|dir| dir.starts_with(&root));
                groups.extend(ancestors.filter_map(|ancestor| group_memory(ancestor, interface)));
            }
        }
        groups
    }

    fn check_machine(&self, capacity: ByteSize, promised: ByteSize) -> Result<(), ArenaError> {
        // Without the file, or without the line, there is no limit to check.
        let Ok(text) = fs::read_to_string(&self.machine) else { return Ok(()) };
        let Some(memory) = kib(&text, "MemAvailable") else { return Ok(()) };
        let swap = kib(&text, "SwapFree").unwrap_or(0);
        let available = less(ByteSize::kib(memory.saturating_add(swap)), promised);
        if capacity > available {
            return Err(ArenaError::BeyondMachine { capacity, available });
        }
        Ok(())
    }
}

fn check_file_system(dir: &Path, capacity: ByteSize, promised: ByteSize) -> Result<(), ArenaError> {
    let stat = statvfs(dir).map_err(ArenaError::io("look at the shared memory directory", dir))?;
    // A tmpfs mounted with `size=0` has no limit of its own and reports no blocks.
    if stat.f_blocks == 0 {
        return Ok(());
    }
    let free = less(ByteSize::new(stat.f_bavail.saturating_mul(stat.f_frsize)), promised);
    let beside = capacity.min(free).bytes() / FENCED_BY_BYTE + PRIVATE_LEN;
    if capacity.bytes().saturating_add(beside) > free.bytes() {
        let size = ByteSize::new(stat.f_blocks.saturating_mul(stat.f_frsize));
        let (dir, fits) = (dir.to_owned(), whole_mib(free.bytes().saturating_sub(beside)));
        return Err(ArenaError::BeyondFileSystem { capacity, dir, size, free, fits });
    }
    Ok(())
}

/// Bytes of the arena for each byte of the lease fence.
const FENCED_BY_BYTE: u64 = (2 << 20) / 8;

/// Memory that the manifest and the small files take beside an arena and its lease fence, at first.
const PRIVATE_LEN: u64 = 9 << 20;

/// A size without a part of it.
fn less(size: ByteSize, part: ByteSize) -> ByteSize {
    ByteSize::new(size.bytes().saturating_sub(part.bytes()))
}

/// A size for people to use.
fn whole_mib(bytes: u64) -> ByteSize {
    ByteSize::mib(bytes >> 20)
}

/// State of a group; `None` if it has no limit.
fn group_memory(group: &Path, interface: &Interface) -> Option<GroupMemory> {
    let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    // Version 2 writes `max` where there is no limit, version 1 a number beyond any machine.
    let (limit, usage) = (number(interface.limit)?, number(interface.usage)?);
    // Pages of ordinary files are counted as used, but the kernel reclaims them before it kills.
    let statistics = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let reclaimable: u64 = statistics
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(key, _)| interface.file_pages.contains(key))
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .sum();
    let free = ByteSize::new(limit.saturating_sub(usage.saturating_sub(reclaimable)));
    Some(GroupMemory { path: group.join(interface.limit), limit: ByteSize::new(limit), free })
}

/// Memory of a process in bytes.
fn resident(status: &Path) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    kib(&text, "VmRSS").map_or(0, |memory| ByteSize::kib(memory).bytes())
}

/// The value of a line such as `MemAvailable: 70 kB`.
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
            process: root.join("status"),
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
        let own = ByteSize::new(1000);
        let check = |capacity, promised| {
            limits.check_control_groups(ByteSize::new(capacity), own, ByteSize::new(promised))
        };
        check(free - 1000, 0).unwrap();
        check(free - 1010, 10).unwrap();
        assert!(check(free - 1009, 10).is_err(), "what others will take is not free");
        let error = check(free - 999, 0).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("`capacity`") && error.contains("pod/memory.max"), "{error}");
        assert!(error.contains("free=`648576B`") && error.contains("limit=`1MiB`"), "{error}");
        assert!(error.contains("own=`1KB`") && !error.contains("at most 0"), "{error}");
        assert_eq!(limits.tightest_group().unwrap().free, ByteSize::new(free));
    }

    #[test]
    fn a_version_1_group_seen_from_inside_its_container_is_found_at_the_root() {
        let root = tempfile::tempdir().unwrap();
        let files = [("memory.limit_in_bytes", "8192"), ("memory.usage_in_bytes", "4096")];
        group(root.path(), "memory", &files);
        let limits = limits(root.path(), "4:cpu,memory:/docker/0123\n1:cpuset:/docker/0123\n");
        let check = |capacity| {
            limits.check_control_groups(ByteSize::new(capacity), ByteSize::ZERO, ByteSize::ZERO)
        };
        check(4096).unwrap();
        assert!(check(4097).is_err());
    }

    #[test]
    fn the_room_is_what_the_tightest_limit_leaves() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "pods", &[("memory.max", "10485760"), ("memory.current", "4096")]);
        group(root.path(), "pods/daemon", &[("memory.max", "20971520"), ("memory.current", "0")]);
        let limits = limits(root.path(), "0::/pods/daemon\n");
        let (dir, own) = (Path::new("/dev/shm"), ByteSize::mib(2));
        let room = limits.room(dir, own);
        assert_eq!(room, ByteSize::mib(7), "whole MiB of what is left beside its own memory");
        limits.check(dir, room, own).unwrap();
        assert_eq!(limits.room(dir, ByteSize::mib(10)), ByteSize::ZERO);
        assert_eq!(limits.room(Path::new("/nonexistent"), own), ByteSize::ZERO);
        fs::write(root.path().join("status"), "VmRSS:\t 1024 kB\n").unwrap();
        assert_eq!(limits.room(dir, own), ByteSize::mib(8), "what it has counts once");
    }

    #[test]
    fn the_daemons_memory_is_the_tightest_limit_whatever_is_in_use() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "pods", &[("memory.max", "1048576"), ("memory.current", "4096")]);
        let limits = limits(root.path(), "0::/pods\n");
        assert_eq!(limits.memory(), ByteSize::mib(1));
        fs::write(root.path().join("meminfo"), "MemTotal: 100 kB\n").unwrap();
        assert_eq!(limits.memory(), ByteSize::kib(100));
    }

    #[test]
    fn the_machines_memory_is_a_limit_too() {
        let root = tempfile::tempdir().unwrap();
        let limits = limits(root.path(), "");
        limits.check_machine(ByteSize::gib(1 << 20), ByteSize::ZERO).unwrap();
        let text = "MemTotal:       100 kB\nMemAvailable:   70 kB\nSwapFree:  10 kB\n";
        fs::write(root.path().join("meminfo"), text).unwrap();
        limits.check_machine(ByteSize::kib(80), ByteSize::ZERO).unwrap();
        limits.check_machine(ByteSize::kib(79), ByteSize::kib(1)).unwrap();
        assert!(limits.check_machine(ByteSize::kib(80), ByteSize::kib(1)).is_err());
        let error = limits.check_machine(ByteSize::kib(81), ByteSize::ZERO);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("available=`80KiB`"), "{error}");
    }
}
