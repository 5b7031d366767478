//! Huge pages: advance check of the mount, and check of the pages that the kernel gave.
//!
//! `madvise(MADV_HUGEPAGE)` succeeds on a tmpfs that never grants them, so the only reliable answer
//! afterwards is in the page tables, which `/proc/self/smaps` shows.

use std::fs;

use kvlease_sys::{Identity, Mapping};
use rustix::fs::{major, minor};

const SMAPS: &str = "/proc/self/smaps";
const MOUNTS: &str = "/proc/self/mountinfo";

/// True if the segment's file system gives huge pages to mappings that request them, and to no
/// others.
pub(crate) fn on_advice(segment: Identity) -> bool {
    let mounts = fs::read_to_string(MOUNTS).unwrap_or_default();
    let device = format!("{}:{}", major(segment.device), minor(segment.device));
    mounted_on_advice(&mounts, &device)
}

/// Searches for `huge=advise` among the file system's own options, the last field of its line.
fn mounted_on_advice(mounts: &str, device: &str) -> bool {
    mounts
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(device))
        .filter_map(|line| line.rsplit(' ').next())
        .any(|options| options.split(',').any(|option| option == "huge=advise"))
}

/// True if at least one huge page is mapped; false as well if the kernel does not say.
pub(crate) fn granted(mapping: &Mapping) -> bool {
    let smaps = fs::read_to_string(SMAPS).unwrap_or_default();
    mapped_huge_kib(&smaps, mapping.address()) > 0
}

/// Part of the mapping that starts at `start` that is mapped by huge pages, in KiB.
fn mapped_huge_kib(smaps: &str, start: usize) -> u64 {
    let heading = format!("{start:08x}-");
    smaps
        .lines()
        .skip_while(|line| !line.starts_with(&heading))
        .find_map(|line| line.strip_prefix("ShmemPmdMapped:"))
        .and_then(|value| value.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS_OF_TWO: &str = "\
7f0000000000-7f0000400000 rw-s 00000000 00:19 3 /dev/shm/other
ShmemPmdMapped:        0 kB
7f0000400000-7f0000c00000 rw-s 00000000 00:19 4 /dev/shm/shared_memory
AnonHugePages:         0 kB
ShmemPmdMapped:     4096 kB
";

    #[test]
    fn the_mount_of_the_segment_decides() {
        let mounts = "30 25 0:27 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=1024k,huge=advise\n\
                      31 25 0:28 / /run rw - tmpfs huge=advise rw,size=4k\n";
        assert!(mounted_on_advice(mounts, "0:27"));
        assert!(!mounted_on_advice(mounts, "0:28"));
        assert!(!mounted_on_advice(mounts, "0:2"));
    }

    #[test]
    fn only_the_mapping_itself_counts() {
        assert_eq!(mapped_huge_kib(SMAPS_OF_TWO, 0x7f00_0040_0000), 4096);
        assert_eq!(mapped_huge_kib(SMAPS_OF_TWO, 0x7f00_0000_0000), 0);
        assert_eq!(mapped_huge_kib(SMAPS_OF_TWO, 0x1000), 0);
    }
}
