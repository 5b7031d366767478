//! Clock of leases, and the boot that it counts from.

use std::{fs, io, sync::OnceLock};

use kvlease_types::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::digest::xxh3;

const BOOT_ID_PATH: &str = "/proc/sys/kernel/random/boot_id";
const SHIFTS_PATH: &str = "/proc/self/timens_offsets";
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Current time of `CLOCK_BOOTTIME`: monotonic, the same for all processes of the machine, and
/// counting while the machine sleeps. The shift of a time namespace is taken out.
pub fn boot_time() -> Timestamp {
    static SHIFT: OnceLock<i64> = OnceLock::new();
    let shift = *SHIFT.get_or_init(boot_time_shift_nanos);
    let now = clock_gettime(ClockId::Boottime);
    // The kernel counts from zero at boot, so neither part is ever negative.
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    let shifted = seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos);
    Timestamp::from_nanos(shifted.saturating_add_signed(shift.saturating_neg()))
}

/// Nanoseconds by which the time namespace of this process shifts `CLOCK_BOOTTIME`; zero where the
/// kernel has none, or does not say.
pub fn boot_time_shift_nanos() -> i64 {
    shift_in(&fs::read_to_string(SHIFTS_PATH).unwrap_or_default())
}

/// Looks for the line of the clock: its name or number, seconds, nanoseconds.
fn shift_in(shifts: &str) -> i64 {
    let mut lines = shifts.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let shift = lines.find_map(|line| match line[..] {
        ["boottime" | "7", seconds, nanos] => {
            let (seconds, nanos): (i64, i64) = (seconds.parse().ok()?, nanos.parse().ok()?);
            seconds.checked_mul(NANOS_PER_SECOND as i64)?.checked_add(nanos)
        }
        _ => None,
    });
    shift.unwrap_or(0)
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
    fn the_shift_of_a_time_namespace_is_read_by_the_clock() {
        let shifts = "monotonic           0         0\nboottime      1000000        5\n";
        assert_eq!(shift_in(shifts), 1_000_000_000_000_005);
        assert_eq!(shift_in("monotonic 3 0\nboottime -2 500000000\n"), -1_500_000_000);
        assert_eq!((shift_in(""), shift_in("boottime x y")), (0, 0));
    }

    #[test]
    fn the_clock_does_not_go_backwards_and_the_boot_stays_the_same() {
        let earlier = boot_time();
        assert!(boot_time() >= earlier);
        assert!(earlier.nanos() > 0);
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
    }
}
