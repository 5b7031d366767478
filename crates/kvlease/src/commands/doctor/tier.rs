//! Checks of the directory of a daemon's tier on disk, and of the way to it.

use std::{fs, io, path::PathBuf, sync::Arc};

use kvlease_client::{ByteSize, human_size};
use kvlease_server::config::Config;
use kvlease_sys::{IoBuffer, Ring};
use rustix::fs::statfs;

use super::{
    names::Name,
    report::{Outcome, Report},
};

/// Numbers of file systems that are in memory: tmpfs and ramfs.
pub(super) const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6_u32 as i64];

/// Memory of transfers to the disk that is registered with the kernel for a try.
const BUFFERS: (usize, usize) = (32, 256 << 10);

/// Looks at the directory, and tries the way.
pub(super) fn check(config: &Config, report: &mut Report) {
    let tier = TierFile::of(config);
    report.add(Name::TierPath, tier_path(&tier));
    let (ring, locked) = transfers(&tier);
    report.add(Name::IoUring, ring);
    report.add(Name::LockedMemory, locked);
}

/// File in the directory of the tier on disk, made for this look and gone behind it.
enum TierFile {
    /// No tier is configured.
    None,
    Made {
        path: PathBuf,
        file: Arc<fs::File>,
    },
    Refused {
        path: PathBuf,
        error: io::Error,
    },
}

impl TierFile {
    fn of(config: &Config) -> Self {
        let Some(path) = config.nvme_path.clone() else { return Self::None };
        match tempfile::tempfile_in(&path) {
            Ok(file) => Self::Made { path, file: Arc::new(file) },
            Err(error) => Self::Refused { path, error },
        }
    }
}

fn tier_path(tier: &TierFile) -> Outcome {
    match tier {
        TierFile::None => Outcome::unseen("no tier on disk is configured"),
        TierFile::Refused { path, error } => Outcome::wrong(
            format!(
                "the tier's directory cannot be written ({error}), tier.nvme.path=`{}`",
                path.display()
            ),
            "make it, and give it to the daemon's user",
        ),
        TierFile::Made { path, .. } => match statfs(path) {
            Ok(found) if IN_MEMORY.contains(&found.f_type) => Outcome::wrong(
                format!("the tier's directory is in memory, tier.nvme.path=`{}`", path.display()),
                "name a directory on a local disk",
            ),
            Ok(_) => Outcome::Right,
            Err(error) => Outcome::unseen(error.to_string()),
        },
    }
}

/// Tries io_uring as the tier does, and the registration of memory.
fn transfers(tier: &TierFile) -> (Outcome, Outcome) {
    let unseen = |why: &str| (Outcome::unseen(why), Outcome::unseen(why));
    let file = match tier {
        TierFile::None => return unseen("no tier on disk is configured"),
        TierFile::Refused { .. } => return unseen("the tier's directory cannot be written"),
        TierFile::Made { file, .. } => file,
    };
    let (count, len) = BUFFERS;
    let buffers = match IoBuffer::allocate(count, len) {
        Ok(buffers) => buffers,
        Err(error) => return unseen(&error.to_string()),
    };
    let ring = match Ring::<()>::new(file, &buffers) {
        Ok(ring) => ring,
        // Kernels count the memory of the ring itself as locked.
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
            return (Outcome::unseen("too little memory may be locked"), not_locked(&error));
        }
        Err(error) => {
            let denied = Outcome::wrong(
                format!(
                    "the kernel refuses io_uring ({error}): the tier on disk uses threads, slower"
                ),
                "allow io_uring in the container's seccomp profile, and set \
                 kernel.io_uring_disabled to 0",
            );
            return (denied, Outcome::unseen("io_uring is refused"));
        }
    };
    (Outcome::Right, ring.not_registered().map_or(Outcome::Right, not_locked))
}

fn not_locked(error: &io::Error) -> Outcome {
    let (count, len) = BUFFERS;
    let memory = human_size(ByteSize::new((count * len) as u64));
    Outcome::wrong(
        format!(
            "the kernel locks no {memory} for the tier on disk ({error}), which is slower then"
        ),
        "raise the limit of locked memory: `LimitMEMLOCK=64M`, `ulimit -l`",
    )
}
