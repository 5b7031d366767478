//! Every condition that opening probes has its word, and a restart finds what was there.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use kvlease_nvme::{IoChoice, IoWay, NvmeConfig, NvmeError, NvmeTier, Way};
use kvlease_tier::{Presence, Tier};
use kvlease_types::ByteSize;
use tempfile::TempDir;

use crate::fixture::{BUCKET, block_on, bytes, load, object, store};

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("cargo makes the directory")
}

/// Settings of the least capacity. The tests that move bytes run with each way to the device.
pub(crate) fn config(folder: &TempDir) -> NvmeConfig {
    NvmeConfig { capacity: Some(ByteSize::mib(64)), ..NvmeConfig::new(folder.path()) }
}

pub(crate) fn refusal(config: NvmeConfig) -> String {
    NvmeTier::open(config).map(|_| ()).expect_err("it cannot be opened").to_string()
}

#[test]
fn a_restart_finds_every_object_whether_it_was_closed_or_not() {
    let folder = folder();
    let lens = [0, 1, 100, 4000, 4096, 100_000, 1 << 20, (3 << 20) + 17];
    for is_closed in [true, false] {
        let prefix = if is_closed { "closed" } else { "dropped" };
        let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
        block_on(async {
            for len in lens {
                let key = format!("{prefix}-{len}");
                store(&tier, &key, &bytes(&key, 0, len)).await.unwrap();
            }
            if is_closed {
                tier.close().await.unwrap();
            }
        });
        drop(tier);
        let (tier, recovery) = NvmeTier::open(config(&folder)).unwrap();
        assert_eq!(recovery.scanned > 0, !is_closed, "{recovery}");
        assert_eq!(recovery.dropped, 0);
        for len in lens {
            let key = format!("{prefix}-{len}");
            let expected = bytes(&key, 0, len);
            let stat = object(&key, &expected).stat;
            assert_eq!(tier.presence(BUCKET, &key), Presence::Here(stat));
            assert_eq!(block_on(load(&tier, &key, stat)).unwrap(), Some(expected));
        }
    }
}

#[test]
fn places_that_cannot_be_used_are_refused_with_key_value_and_remedy() {
    let folder = folder();
    let missing = NvmeConfig::new(folder.path().join("missing"));
    assert!(refusal(missing).starts_with("`tier.nvme.path` does not exist: create"));
    fs::write(folder.path().join("file"), "").unwrap();
    let file = NvmeConfig::new(folder.path().join("file"));
    assert!(refusal(file).starts_with("`tier.nvme.path` is not a directory: set one"));
    let below = NvmeConfig::new(folder.path().join("file/below"));
    assert!(refusal(below).starts_with("`tier.nvme.path` is not a directory: set one"));
    let small = NvmeConfig { capacity: Some(ByteSize::mib(1)), ..config(&folder) };
    let word = refusal(small);
    assert!(word.starts_with("`tier.nvme.capacity` is too small: set at least 64MiB"), "{word}");
    let large = NvmeConfig { capacity: Some(ByteSize::gib(1 << 20)), ..config(&folder) };
    let word = refusal(large);
    assert!(word.starts_with("`tier.nvme.capacity` is more than the file system has"), "{word}");
}

#[test]
fn a_file_that_is_no_tier_is_left_alone() {
    let folder = folder();
    let file = folder.path().join("kvlease.tier");
    fs::write(&file, "precious").unwrap();
    assert!(matches!(NvmeTier::open(config(&folder)), Err(NvmeError::Foreign { .. })));
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    fs::remove_file(&file).unwrap();
    symlink("/etc/passwd", &file).unwrap();
    assert!(matches!(NvmeTier::open(config(&folder)), Err(NvmeError::Foreign { .. })));
}

#[test]
fn a_second_daemon_is_refused_while_the_first_one_runs() {
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    let word = refusal(config(&folder));
    assert!(word.starts_with("`tier.nvme.path` is in use by another running daemon: stop it"));
    drop(tier);
    NvmeTier::open(config(&folder)).unwrap();
}

#[test]
fn the_file_is_for_its_owner_only_and_has_its_length() {
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    let metadata = fs::metadata(folder.path().join("kvlease.tier")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(metadata.len(), tier.usage().capacity.unwrap().bytes() + (1 << 20));
    assert!(metadata.len() <= ByteSize::mib(64).bytes());
}

#[test]
fn a_larger_capacity_keeps_the_objects_and_a_smaller_one_starts_anew() {
    let folder = folder();
    let sized = |mib| NvmeConfig { capacity: Some(ByteSize::mib(mib)), ..config(&folder) };
    let (tier, _) = NvmeTier::open(sized(64)).unwrap();
    block_on(store(&tier, "a", b"bytes")).unwrap();
    drop(tier);
    let (tier, recovery) = NvmeTier::open(sized(96)).unwrap();
    assert_eq!(recovery.objects, 1);
    assert!(tier.usage().capacity.unwrap() > ByteSize::mib(90));
    drop(tier);
    // Without one it stays as it is.
    let (tier, recovery) = NvmeTier::open(NvmeConfig { capacity: None, ..sized(0) }).unwrap();
    assert_eq!(recovery.objects, 1);
    assert!(tier.usage().capacity.unwrap() > ByteSize::mib(90));
    drop(tier);
    let (tier, recovery) = NvmeTier::open(sized(64)).unwrap();
    assert_eq!(recovery.objects, 0);
    assert!(tier.warnings().iter().any(|warning| warning.contains("starts anew")));
}

#[test]
fn a_corrupt_superblock_is_replaced_by_its_copy() {
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    block_on(store(&tier, "a", b"bytes")).unwrap();
    drop(tier);
    let file = folder.path().join("kvlease.tier");
    for corrupt_at in [0, 4096] {
        let mut bytes = fs::read(&file).unwrap();
        bytes[corrupt_at..corrupt_at + 4096].fill(0xff);
        fs::write(&file, &bytes).unwrap();
        let (_, recovery) = NvmeTier::open(config(&folder)).unwrap();
        assert_eq!(recovery.objects, 1);
    }
    let mut bytes = fs::read(&file).unwrap();
    bytes[..8192].fill(0xff);
    fs::write(&file, &bytes).unwrap();
    assert!(matches!(NvmeTier::open(config(&folder)), Err(NvmeError::Foreign { .. })));
}

#[test]
fn the_way_to_the_device_is_told_with_the_reason() {
    let folder = folder();
    let (tier, _) = NvmeTier::open(config(&folder)).unwrap();
    let Way { io, is_direct, .. } = tier.way().clone();
    assert!(is_direct, "the tests' file system has direct I/O");
    // The kernel of a test machine has io_uring; whether it registers memory is the user's limit.
    assert!(matches!(io, IoWay::Ring { .. }), "{:?}", tier.way());
    assert!(tier.place().ends_with("/kvlease.tier"), "{}", tier.place());
    assert_eq!(Tier::way(&tier), Some(tier.way().to_string()));
    drop(tier);
    let threads = NvmeConfig { io: IoChoice::Threads, ..config(&folder) };
    let (tier, _) = NvmeTier::open(threads).unwrap();
    assert_eq!(tier.way().to_string(), "threads, direct");
    assert_eq!(tier.way().reason.as_deref(), Some("threads are configured"));
}
