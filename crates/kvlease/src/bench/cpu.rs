//! Processor time of processes.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// The processor time of all threads that the process has now, or `None` where the kernel does
/// not tell. Sums nanoseconds of the scheduler: the ticks of `/proc/PID/stat` are too coarse for a
/// round. A thread that ended in between is missing.
pub(super) fn used(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut nanos = 0;
    for thread in threads {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanos += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos))
}

/// The processor time of all threads that this process has or had.
pub(super) fn used_here() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec.unsigned_abs() as u32)
}
