//! Clock of leases, and the boot that it counts from.

use std::{fs, io};

use kvlease_types::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::digest::xxh3;

const BOOT_ID_PATH: &str = "/proc/sys/kernel/random/boot_id";
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Current time of `CLOCK_BOOTTIME`: monotonic, the same for all processes of the machine, and
/// counting while the machine sleeps.
pub fn boot_time() -> Timestamp {
    let now = clock_gettime(ClockId::Boottime);
    // The kernel counts from zero at boot, so neither part is ever negative.
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    Timestamp::from_nanos(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos))
}

/// Number of the current boot: times of another boot mean nothing in this one.
///
/// # Errors
///
/// The kernel's error, for example when `/proc` is not mounted.
pub fn boot_id() -> io::Result<u64> {
    let text = fs::read_to_string(BOOT_ID_PATH)?;
    Ok(xxh3(text.trim().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_does_not_go_backwards_and_the_boot_stays_the_same() {
        let earlier = boot_time();
        assert!(boot_time() >= earlier);
        assert!(earlier.nanos() > 0);
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
    }
}
