//! Warm take-over of the segment that a daemon of an earlier release left, killed in the middle of
//! its life. The files are that daemon's own: see `testing/segment_v1`.

use std::{
    fs::{self, DirBuilder, File},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt},
    path::Path,
};

use kvlease_sys::{Digest, boot_id};
use kvlease_types::ByteSize;

use crate::daemon::Daemon;

const CAPACITY: ByteSize = ByteSize::kib(64);
const UNIT: usize = 4096;

/// The files by their names on disk: content without the zeros at its end, and length.
const FILES: [(&str, &[u8], u64); 3] = [
    ("arena", include_bytes!("../../../../testing/segment_v1/arena.bin"), CAPACITY.bytes()),
    ("horizon", include_bytes!("../../../../testing/segment_v1/horizon.bin"), 4104),
    ("record", include_bytes!("../../../../testing/segment_v1/record.bin"), 35_795_712),
];

/// Bytes of the manifest's header with its checksum, and places of its fields.
const HEADER_LEN: usize = 48;
const INODE: usize = 24;
const BOOT: usize = 32;
const SUM: usize = 40;

/// Bytes of an object, as `make.py` made them.
fn content(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| ((at * 31 + at / 256 + seed * 101) % 251) as u8).collect()
}

/// Objects that the daemon had when it was killed, by bucket and key.
fn stored() -> Vec<(String, Vec<u8>)> {
    let piece = |seed: usize| (format!("pieces/{seed}"), content(seed, UNIT));
    let mut objects: Vec<_> = (0..12).step_by(2).map(piece).collect();
    objects.extend([
        ("lmcache/scattered".to_owned(), content(100, 7 * UNIT + 5)),
        (format!("b%C3%BCcket/{}", "k".repeat(300)), content(101, 1000)),
        ("lmcache/empty".to_owned(), vec![]),
        ("lmcache/twice".to_owned(), content(103, 20)),
    ]);
    objects
}

/// Puts the files where a daemon looks for those of its predecessor.
fn lay_out(dir: &Path) {
    let private = dir.join(".kvlease.shared_memory");
    DirBuilder::new().mode(0o700).create(&private).unwrap();
    for (name, content, len) in FILES {
        let file = File::create_new(private.join(name)).unwrap();
        file.write_all_at(content, 0).unwrap();
        file.set_len(len).unwrap();
    }
    fs::hard_link(private.join("arena"), dir.join("shared_memory")).unwrap();
}

/// Makes the manifest one of this file and of this boot, which it cannot be by itself: its header
/// names an inode and a boot of the machine that it was made on. Everything else stays as it is.
fn adopt(dir: &Path) {
    let private = dir.join(".kvlease.shared_memory");
    let manifest = File::options().read(true).write(true).open(private.join("record")).unwrap();
    let mut header = [0; HEADER_LEN];
    manifest.read_exact_at(&mut header, 0).unwrap();
    let inode = fs::metadata(dir.join("shared_memory")).unwrap().ino();
    header[INODE..BOOT].copy_from_slice(&inode.to_le_bytes());
    header[BOOT..SUM].copy_from_slice(&boot_id().unwrap().to_le_bytes());
    let sum = Digest::of(&header[..SUM]).xxh3_64();
    header[SUM..].copy_from_slice(&sum.to_le_bytes());
    manifest.write_all_at(&header, 0).unwrap();
}

/// Starts a daemon on the files.
fn successor(adopted: bool) -> Daemon {
    Daemon::with(|config| {
        lay_out(&config.shared_memory_dir);
        if adopted {
            adopt(&config.shared_memory_dir);
        }
        config.capacity = Some(CAPACITY);
    })
}

#[test]
fn the_segment_of_the_first_release_is_taken_over_warm() {
    let daemon = successor(true);
    for (name, bytes) in stored() {
        let reply = daemon.wire().call("GET", &format!("/v1/kv/{name}"));
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        assert!(reply.body == bytes, "{name} has other bytes");
    }
    for seed in (1..12).step_by(2) {
        let reply = daemon.wire().call("GET", &format!("/v1/kv/pieces/{seed}"));
        assert_eq!(reply.status, 404, "{seed} was removed: {reply:?}");
    }
    assert_eq!(daemon.stats().objects, stored().len() as u64);
    // Its space is whole: full of these objects, and free when they are gone.
    for (name, _) in stored() {
        let reply = daemon.wire().call("DELETE", &format!("/v1/kv/{name}"));
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
    }
    daemon.put("all", &content(7, CAPACITY.bytes() as usize));
}

#[test]
fn the_segment_of_another_machine_is_left_aside() {
    let daemon = successor(false);
    assert_eq!(daemon.stats().objects, 0, "bytes of another boot belong to no object");
    daemon.put("all", &content(7, CAPACITY.bytes() as usize));
}
