//! Checks of the directory of a daemon's tier on disk, and of the way to it.

use std::{fs::File, io, sync::Arc};

use kvlease_client::{ByteSize, human_size};
use kvlease_server::{config::Config, disk_fits};
use kvlease_sys::{IoBuffer, Ring};

use super::{
    names::Name,
    report::{Outcome, Report},
};

/// Numbers of file systems that are in memory: tmpfs and ramfs.
pub(super) const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6_u32 as i64];

/// Memory of transfers to the disk that is registered with the kernel for a try.
const BUFFERS: (usize, usize) = (32, 256 << 10);

/// Reason for what there is nothing to look at.
const NO_TIER: &str = "no tier on disk is configured";

/// Looks at the directory, and tries the way.
pub(super) fn check(config: &Config, report: &mut Report) {
    let (file, outcome) = match disk_fits(config, |path| tempfile::tempfile_in(path)) {
        None => (Err(NO_TIER), Outcome::unseen(NO_TIER)),
        Some(Ok((file, advice))) => (Ok(Arc::new(file)), advised(&advice)),
        Some(Err(error)) => {
            let (what, remedy) = said(&error.to_string());
            (Err("the tier's directory cannot be used"), Outcome::wrong(what, remedy))
        }
    };
    report.add(Name::TierPath, outcome);
    let (ring, locked) = transfers(&file);
    report.add(Name::IoUring, ring);
    report.add(Name::LockedMemory, locked);
}

/// Outcome of what the daemon would warn of: a directory in memory is none that a tier is for.
fn advised(advice: &[String]) -> Outcome {
    let Some(first) = advice.first() else { return Outcome::Right };
    let (what, remedy) = said(first);
    match first.contains("in memory") {
        true => Outcome::wrong(what, remedy),
        false => Outcome::hint(what, remedy),
    }
}

/// Fault and remedy of a message of the daemon: the remedy is behind the last colon before the values.
fn said(message: &str) -> (String, String) {
    let values = message.find("=`").unwrap_or(message.len());
    match message[..values].rfind(": ") {
        Some(colon) => (message[..colon].to_owned(), message[colon + 2..].to_owned()),
        None => (message.to_owned(), "see what the kernel says about that file system".to_owned()),
    }
}

/// Tries io_uring as the tier does, and the registration of memory.
fn transfers(file: &Result<Arc<File>, &'static str>) -> (Outcome, Outcome) {
    let unseen = |why: &str| (Outcome::unseen(why), Outcome::unseen(why));
    let file = match file {
        Ok(file) => file,
        Err(why) => return unseen(why),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_of_a_message_is_in_front_of_its_values() {
        for (message, what, remedy) in [
            ("it is not there: make it, path=`/a: b`", "it is not there", "make it, path=`/a: b`"),
            (
                "in memory: lost: set another, path=`/a`",
                "in memory: lost",
                "set another, path=`/a`",
            ),
        ] {
            assert_eq!(said(message), (what.to_owned(), remedy.to_owned()));
        }
        let without = said("it cannot be used, path=`/a`: opening failed: Input/output error");
        assert!(without.0.ends_with("Input/output error") && !without.1.is_empty());
    }
}
