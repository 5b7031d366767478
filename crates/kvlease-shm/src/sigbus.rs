//! The last words of a daemon whose segment was cut shorter.

use std::io;

/// Written where a touch of the segment fails.
const WORDS: &[u8] =
    b"kvlease: killed by SIGBUS: somebody cut a file of the segment shorter, or its \
memory is gone. Find out who may write to it; the next start serves what is left.\n";

/// Lets the process say why it ends by `SIGBUS`, which otherwise kills it without a word.
///
/// # Errors
///
/// What the kernel says.
pub fn explain_sigbus() -> io::Result<()> {
    // SAFETY: an all-zero `sigaction` is a valid one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_sigbus as *const () as libc::sighandler_t;
    // The default action is back when the handler runs: the touch that failed is repeated behind
    // it, and then kills the process as if nobody had handled it.
    action.sa_flags = libc::SA_RESETHAND;
    // SAFETY: the handler does nothing but a write, which is safe in a signal handler.
    let rc = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn on_sigbus(_: libc::c_int) {
    // SAFETY: the bytes are static. What becomes of them cannot be told to anybody.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, WORDS.as_ptr().cast(), WORDS.len()) };
}
