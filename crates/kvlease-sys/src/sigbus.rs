//! Message of a daemon that `SIGBUS` ends, because its segment was truncated.

use std::io;

/// Message for standard error when an access to the segment fails.
const MESSAGE: &[u8] =
    b"kvlease: killed by SIGBUS: a file of the segment was truncated, or its memory is \
gone. Check which processes may write to it; the next start serves what is left.\n";

/// Installs a handler that writes the cause to standard error before `SIGBUS` kills the process.
///
/// # Errors
///
/// The kernel's error.
pub fn explain_sigbus() -> io::Result<()> {
    // SAFETY: an all-zero `sigaction` is a valid one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_sigbus as *const () as libc::sighandler_t;
    // The default action is back when the handler runs: the access that failed is repeated after
    // it, and then kills the process as if there had been no handler.
    action.sa_flags = libc::SA_RESETHAND;
    // SAFETY: the handler does nothing but a write, which is safe in a signal handler.
    let rc = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn on_sigbus(_: libc::c_int) {
    // SAFETY: the bytes are static. A failure cannot be reported anywhere.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len()) };
}
