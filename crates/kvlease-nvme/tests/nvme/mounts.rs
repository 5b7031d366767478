//! The probes of the start on real file systems, each mounted by its test.
//!
//! A test runs itself again in user and mount namespaces of its own, where it may mount what it likes
//! and no other process sees it. That needs no root, and nothing has to be cleaned up.

use std::{
    env, fs,
    path::Path,
    process::{Command, Output},
};

use kvlease_nvme::{NvmeConfig, NvmeError, NvmeTier};
use kvlease_types::ByteSize;
use tempfile::TempDir;

use crate::{
    fixture::{block_on, bytes, load, object, store},
    opening::{config, folder, refusal},
};

/// Tells a test that it runs within its namespaces.
const INSIDE: &str = "KVLEASE_TEST_INSIDE";

/// Ways to new namespaces: for any user, and for root where users may not.
const WAYS: [&[&str]; 2] = [&["--mount", "--map-root-user"], &["--mount"]];

const DOCUMENT: &str = include_str!("../../../../docs/nvme-tier.md");

/// Runs the work of a test of this file in namespaces of its own.
fn in_namespaces(test: &str, work: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return work();
    }
    let Some(way) = WAYS.into_iter().find(|way| unshare(way, &["true"]).status.success()) else {
        panic!(
            "this test mounts file systems: allow user namespaces (sysctl \
             `kernel.unprivileged_userns_clone`, `kernel.apparmor_restrict_unprivileged_userns`) or run \
             it as root with CAP_SYS_ADMIN, {:?}",
            unshare(WAYS[0], &["true"])
        );
    };
    let program = env::current_exe().unwrap();
    let name = format!("mounts::{test}");
    let output = unshare(way, &[program.to_str().unwrap(), "--exact", &name, "--nocapture"]);
    let text = String::from_utf8_lossy(&output.stdout);
    // A name that matches no test would succeed as well.
    let ran = output.status.success() && text.contains("1 passed");
    assert!(ran, "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn unshare(way: &[&str], command: &[&str]) -> Output {
    let mut unshare = Command::new("unshare");
    unshare.args(way).args(command).env(INSIDE, "1");
    unshare.output().expect("`unshare` of util-linux is installed")
}

fn mount(args: &[&str], target: &Path) {
    let output = Command::new("mount").args(args).arg(target).output().unwrap();
    assert!(output.status.success(), "mount {args:?}: {output:?}");
}

/// A directory with a tmpfs of this size.
fn tmpfs(size: &str) -> TempDir {
    let folder = folder();
    mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "none"], folder.path());
    folder
}

/// That docs/nvme-tier.md has a word of the daemon, with a remedy.
fn assert_documented(word: &str) {
    let (_, table) = DOCUMENT.split_once("## Words of the daemon about the disk").unwrap();
    let mut rows = table.lines().filter_map(|line| line.strip_prefix("| … "));
    let known = rows.any(|row| row.split(" | ").next().is_some_and(|text| word.contains(text)));
    assert!(known, "docs/nvme-tier.md has no row for: {word}");
}

/// Opens a tier that has advice for the operator, whose bytes are right all the same.
fn assert_warned(folder: &TempDir, expected: &[&str]) -> NvmeTier {
    let (tier, _) = NvmeTier::open(config(folder)).unwrap();
    assert_eq!(tier.warnings().len(), expected.len(), "{:?}", tier.warnings());
    for (warning, expected) in tier.warnings().iter().zip(expected) {
        assert!(warning.starts_with("`tier.nvme.path` is on a file system"), "{warning}");
        assert!(warning.contains(expected), "{warning}");
        assert!(warning.contains(": set a directory on "), "{warning}");
        assert_documented(warning);
    }
    let bytes = bytes("a", 0, (2 << 20) + 100);
    block_on(store(&tier, "a", &bytes)).unwrap();
    let loaded = block_on(load(&tier, "a", object("a", &bytes).stat)).unwrap();
    assert!(loaded == Some(bytes));
    tier
}

fn assert_refused(config: NvmeConfig, expected: &str) {
    let word = refusal(config);
    assert!(word.starts_with(expected), "{word}");
    assert_documented(&word);
}

#[test]
fn a_read_only_file_system_is_refused() {
    in_namespaces("a_read_only_file_system_is_refused", || {
        let folder = folder();
        let expected = "`tier.nvme.path` is on a read-only file system: remount it writable";
        // An existing file is as good as none.
        for has_file in [false, true] {
            if has_file {
                NvmeTier::open(config(&folder)).unwrap();
            }
            mount(&["--bind", folder.path().to_str().unwrap()], folder.path());
            mount(&["-o", "remount,bind,ro"], folder.path());
            assert_refused(config(&folder), expected);
            mount(&["-o", "remount,bind,rw"], folder.path());
        }
        NvmeTier::open(config(&folder)).unwrap();
    });
}

#[test]
fn a_file_system_in_memory_is_warned_of() {
    in_namespaces("a_file_system_in_memory_is_warned_of", || {
        let folder = tmpfs("128m");
        // Whether a tmpfs has direct I/O depends on the kernel; the way says what was found.
        let is_direct = NvmeTier::open(config(&folder)).unwrap().0.way().is_direct;
        let advice =
            ["in memory (tmpfs): its objects do not survive a reboot", "without direct I/O"];
        assert_warned(&folder, if is_direct { &advice[..1] } else { &advice });
    });
}

#[test]
fn an_overlay_is_warned_of() {
    in_namespaces("an_overlay_is_warned_of", || {
        let (parts, folder) = (folder(), folder());
        for part in ["lower", "upper", "work"] {
            fs::create_dir(parts.path().join(part)).unwrap();
        }
        let at = parts.path().display();
        let options = format!("lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work");
        mount(&["-t", "overlay", "-o", &options, "none"], folder.path());
        let tier = assert_warned(
            &folder,
            &[" that is an overlay, as of a container's image: objects are lost"],
        );
        assert!(tier.way().is_direct, "the file system below has direct I/O");
    });
}

#[test]
fn a_file_system_without_direct_io_and_reservation_works_with_advice() {
    in_namespaces("a_file_system_without_direct_io_and_reservation_works_with_advice", || {
        let folder = folder();
        mount(&["-t", "ramfs", "none"], folder.path());
        let expected = "`tier.nvme.capacity` is needed, since the file system does not say";
        assert_refused(NvmeConfig { capacity: None, ..config(&folder) }, expected);
        let advice = ["in memory", "that cannot reserve room", "without direct I/O"];
        let tier = assert_warned(&folder, &advice);
        assert!(tier.way().to_string().ends_with(", buffered"), "{}", tier.way());
        let reason = tier.way().reason.clone().unwrap();
        assert!(reason.starts_with("no direct I/O: "), "{reason}");
    });
}

#[test]
fn a_look_at_a_place_finds_what_opening_it_would_find_and_leaves_nothing() {
    in_namespaces("a_look_at_a_place_finds_what_opening_it_would_find_and_leaves_nothing", || {
        let look = |config: &NvmeConfig| {
            let made = NvmeTier::probe(config, || tempfile::tempfile_in(&config.path));
            made.map(|(_, advice)| advice).map_err(|error| error.to_string())
        };
        let small = tmpfs("100m");
        let of = |capacity| NvmeConfig { capacity, ..config(&small) };
        for capacity in [None, Some(ByteSize::gib(1)), Some(ByteSize::mib(1))] {
            assert_eq!(look(&of(capacity)), Err(refusal(of(capacity))));
        }
        fs::remove_file(small.path().join("kvlease.tier")).unwrap();
        let fits = of(Some(ByteSize::mib(64)));
        assert!(look(&fits).unwrap()[0].contains("in memory (tmpfs)"));
        assert_eq!(fs::read_dir(small.path()).unwrap().count(), 0, "nothing was left");
        // Beside a daemon, whose file is part of what is free for it.
        let (tier, _) = NvmeTier::open(fits.clone()).unwrap();
        look(&fits).unwrap();
        drop(tier);
        mount(&["--bind", small.path().to_str().unwrap()], small.path());
        mount(&["-o", "remount,bind,ro"], small.path());
        let word = look(&fits).unwrap_err();
        assert!(word.contains("is on a read-only file system"), "{word}");
        let missing = NvmeConfig::new(small.path().join("missing"));
        assert_eq!(look(&missing), Err(refusal(missing.clone())));
        let foreign = folder();
        fs::write(foreign.path().join("kvlease.tier"), "precious").unwrap();
        assert_eq!(look(&config(&foreign)), Err(refusal(config(&foreign))));
    });
}

#[test]
fn too_little_room_is_refused_with_what_is_free() {
    in_namespaces("too_little_room_is_refused_with_what_is_free", || {
        let folder = tmpfs("32m");
        let expected = "`tier.nvme.path` is on a file system with less free than the least tier of 64MiB needs: make \
                        room or set a directory on another file system, free=`32MiB`";
        for capacity in [Some(ByteSize::mib(64)), Some(ByteSize::gib(1)), None] {
            assert_refused(NvmeConfig { capacity, ..config(&folder) }, expected);
        }
        // What the messages tell to do helps.
        let folder = tmpfs("100m");
        let auto = NvmeConfig { capacity: None, ..config(&folder) };
        assert_refused(
            auto,
            "`tier.nvme.capacity` is `auto`, and half of what the file system has free is less",
        );
        let beyond = NvmeConfig { capacity: Some(ByteSize::gib(1)), ..config(&folder) };
        let word = refusal(beyond);
        assert!(word.contains(" capacity=`1GiB` free=`100MiB`"), "{word}");
        let all = NvmeConfig { capacity: Some(ByteSize::mib(100)), ..config(&folder) };
        NvmeTier::open(all).unwrap();
        // What others take counts, and what the tier's own file has does not.
        let folder = tmpfs("128m");
        NvmeTier::open(config(&folder)).unwrap();
        fs::write(folder.path().join("other"), vec![1; 48 << 20]).unwrap();
        NvmeTier::open(config(&folder)).unwrap();
        let larger = NvmeConfig { capacity: Some(ByteSize::mib(96)), ..config(&folder) };
        assert_refused(larger, "`tier.nvme.capacity` is more than the file system has free");
        assert!(matches!(
            NvmeTier::open(NvmeConfig { capacity: Some(ByteSize::gib(1)), ..config(&folder) }),
            Err(NvmeError::NoRoom { .. })
        ));
    });
}
