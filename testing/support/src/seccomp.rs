//! Seccomp filter that forbids io_uring, as the default profile of Docker and of containerd does.

use std::{env::consts::ARCH, thread};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Number of `io_uring_setup`, the same for all processors.
const IO_URING_SETUP: i64 = 425;

/// Error that the profiles of containers answer with.
const EPERM: u32 = 1;

/// Runs `work` on a thread that the kernel refuses io_uring. So it refuses it to all threads and
/// processes that `work` starts, for as long as they live.
///
/// # Panics
///
/// If the kernel has no seccomp filters, or `work` panics.
pub fn without_io_uring<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let filtered = || {
        let forbidden = [(IO_URING_SETUP, Vec::new())].into_iter().collect();
        let (other, match_) = (SeccompAction::Allow, SeccompAction::Errno(EPERM));
        let target = ARCH.try_into().expect("a processor that seccomp knows");
        let filter = SeccompFilter::new(forbidden, other, match_, target).expect("a valid filter");
        let program = BpfProgram::try_from(filter).expect("a valid filter");
        apply_filter(&program).expect("the kernel has seccomp filters");
        work()
    };
    thread::scope(|scope| match scope.spawn(filtered).join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
