//! Survival of a truncation: guarded mappings whose file lost its pages.
//!
//! An access to a page that a file no longer has raises `SIGBUS`, which ends the process. A client
//! maps a file that others can truncate: the daemon's clients that write, or its operator. So a
//! mapping can be guarded: the handler puts empty private memory in the place of the whole mapping,
//! marks it as lost, and the access goes on. What was copied then is worthless, which the reader
//! finds out by [`Mapping::is_lost`](crate::Mapping::is_lost).
//!
//! The handler takes faults of guarded mappings only. Every other `SIGBUS` is left to the handler
//! that was there before, or to the default.

use std::{
    io, mem, ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicPtr, Ordering},
    },
};

use crate::Access;

/// The most mappings that are guarded at the same time. Further ones are mapped without.
const GUARDED_MAX: usize = 256;

/// Guarded mappings. The handler may read an entry at any time, so entries are never freed: some
/// bytes for each mapping that a client makes, which is one for each start of a daemon.
static GUARDED: [AtomicPtr<Entry>; GUARDED_MAX] =
    [const { AtomicPtr::new(ptr::null_mut()) }; GUARDED_MAX];

/// The action for the signal before ours.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// Whether a signal was passed on to it: the next one gets the default action, so that two handlers
/// cannot pass a signal to each other for ever.
static PASSED_ON: AtomicBool = AtomicBool::new(false);

/// Held while the handler is installed.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Memory that is guarded.
#[derive(Debug)]
struct Entry {
    start: usize,
    len: usize,
    access: Access,
    lost: AtomicBool,
}

/// Guard of one mapping. To be dropped before the memory is unmapped.
#[derive(Debug)]
pub(crate) struct Guard {
    place: usize,
    entry: &'static Entry,
}

impl Guard {
    /// Guards a mapping at this address. `None` if too many are guarded, or the handler cannot be
    /// installed.
    pub(crate) fn new(start: usize, len: usize, access: Access) -> Option<Self> {
        install().ok()?;
        let free = |place: &&AtomicPtr<Entry>| place.load(Ordering::Acquire).is_null();
        GUARDED.iter().find(free)?;
        let lost = AtomicBool::new(false);
        let entry: *mut Entry = Box::into_raw(Box::new(Entry { start, len, access, lost }));
        let take = |place: &AtomicPtr<Entry>| {
            let empty = ptr::null_mut();
            place.compare_exchange(empty, entry, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let place = GUARDED.iter().position(take)?;
        // SAFETY: the entry was just made, and is never freed or borrowed mutably.
        Some(Self { place, entry: unsafe { &*entry } })
    }

    /// Whether the mapping lost its file's pages.
    pub(crate) fn is_lost(&self) -> bool {
        self.entry.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDED[self.place].store(ptr::null_mut(), Ordering::Release);
    }
}

/// Makes ours the handler, unless it is. Programs install handlers of their own at any time, so this
/// is looked at for each mapping.
fn install() -> io::Result<()> {
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let ours = on_sigbus as *const () as libc::sighandler_t;
    // SAFETY: an all-zero `sigaction` is a valid one.
    let mut current: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: a null pointer asks for the current action, which is written to a valid place.
    let asked = unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut current) };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    if current.sa_sigaction == ours {
        return Ok(());
    }
    // The handler may read it at any time: it is never freed. There are few.
    PREVIOUS.store(Box::into_raw(Box::new(current)), Ordering::SeqCst);
    PASSED_ON.store(false, Ordering::SeqCst);
    // SAFETY: as above.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = ours;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler does only what a signal handler may: atomic accesses and system calls.
    let installed = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) };
    if installed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn on_sigbus(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid description of the signal.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    // The kernel's own codes are above zero; a signal that a process sent has no address.
    let is_fault = code > 0;
    // SAFETY: the place of this thread's error number, which the interrupted code may be about to
    // read.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *errno };
    if !(is_fault && is_survived(address)) {
        pass_on(signal, is_fault);
    }
    // SAFETY: as above.
    unsafe { *errno = saved };
}

/// Puts empty memory in the place of the guarded mapping that has this address, if one has.
fn is_survived(address: usize) -> bool {
    for place in &GUARDED {
        let entry = place.load(Ordering::Acquire);
        if entry.is_null() {
            continue;
        }
        // SAFETY: entries are never freed.
        let Entry { start, len, access, lost } = unsafe { &*entry };
        if address.wrapping_sub(*start) >= *len {
            continue;
        }
        // Before any reader can see the empty memory.
        lost.store(true, Ordering::SeqCst);
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: the range is that of a mapping which lives, since it was accessed. Its users see
        // other bytes there at any time anyway, and form no reference to them.
        let mapped = unsafe {
            libc::mmap(ptr::without_provenance_mut(*start), *len, protection, flags, -1, 0)
        };
        return mapped != libc::MAP_FAILED;
    }
    false
}

/// Leaves the signal to the action before ours: a fault is repeated when the handler returns, a
/// signal that was sent is sent again.
fn pass_on(signal: libc::c_int, is_fault: bool) {
    let previous = PREVIOUS.load(Ordering::SeqCst);
    // SAFETY: an all-zero `sigaction` is a valid one, with the default action.
    let default: libc::sigaction = unsafe { mem::zeroed() };
    let action = match PASSED_ON.swap(true, Ordering::SeqCst) || previous.is_null() {
        true => &raw const default,
        false => previous.cast_const(),
    };
    // SAFETY: the action is valid, and previous ones are never freed. Both calls are allowed in a
    // handler; a failure cannot be reported anywhere.
    unsafe {
        let _ = libc::sigaction(signal, action, ptr::null_mut());
        if !is_fault {
            let _ = libc::raise(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        os::{
            fd::AsFd,
            unix::{fs::FileExt, process::ExitStatusExt},
        },
        process::{Command, Output},
        thread,
    };

    use kvlease_types::{ByteSize, Extent, Offset};

    use super::*;
    use crate::{Digest, Mapping, PAGE, explain_sigbus};

    const LEN: u64 = 64 * PAGE;

    /// Set in a process that is to end with the signal.
    const ENDS: &str = "KVLEASE_TEST_SIGBUS";

    fn file() -> File {
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        file.write_all_at(&vec![7; LEN as usize], 0).unwrap();
        file
    }

    fn all() -> Extent {
        Extent::new(Offset::new(0), ByteSize::new(LEN))
    }

    #[test]
    fn a_copy_of_a_truncated_file_ends_and_the_mapping_is_lost() {
        for access in [Access::Read, Access::ReadWrite] {
            let file = file();
            let mapping = Mapping::guarded(file.as_fd(), LEN as usize, access).unwrap();
            let other = Mapping::guarded(file.as_fd(), LEN as usize, access).unwrap();
            let mut bytes = vec![0; LEN as usize];
            mapping.copy_out(all(), &mut bytes, None);
            assert!(bytes == vec![7; LEN as usize] && !mapping.is_lost());
            file.set_len(PAGE).unwrap();
            // Several threads at once, with and without a checksum.
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| mapping.digest(all(), &mut Digest::new()));
                    scope.spawn(|| mapping.copy_out(all(), &mut vec![0; LEN as usize], None));
                }
            });
            assert!(mapping.is_lost() && !other.is_lost(), "{access:?}");
            if access == Access::ReadWrite {
                other.copy_in(Offset::new(0), &vec![1; LEN as usize], None);
                assert!(other.is_lost());
            }
        }
    }

    #[test]
    fn a_mapping_that_is_not_guarded_ends_the_process_as_before() {
        if std::env::var_os(ENDS).is_some() {
            explain_sigbus().unwrap();
            let (guarded, file) = (file(), file());
            let guarded = Mapping::guarded(guarded.as_fd(), LEN as usize, Access::Read).unwrap();
            let mapping = Mapping::new(file.as_fd(), LEN as usize, Access::Read).unwrap();
            file.set_len(0).unwrap();
            mapping.digest(all(), &mut Digest::new());
            drop(guarded);
            return;
        }
        let test = "guard::tests::a_mapping_that_is_not_guarded_ends_the_process_as_before";
        let Output { status, stderr, .. } = again(test);
        assert_eq!(status.signal(), Some(libc::SIGBUS));
        let text = String::from_utf8_lossy(&stderr);
        assert!(text.contains("killed by SIGBUS"), "the handler before was run: {text}");
    }

    #[test]
    fn a_signal_that_was_sent_ends_the_process_as_before() {
        if std::env::var_os(ENDS).is_some() {
            // SAFETY: calls without arguments in memory. The standard library's own handler, which
            // looks for overflows of the stack, would swallow a signal that was sent.
            let _ = unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
            let _guarded = Mapping::guarded(file().as_fd(), LEN as usize, Access::Read).unwrap();
            // SAFETY: as above.
            let _ = unsafe { libc::raise(libc::SIGBUS) };
            return;
        }
        let test = "guard::tests::a_signal_that_was_sent_ends_the_process_as_before";
        assert_eq!(again(test).status.signal(), Some(libc::SIGBUS));
    }

    /// Runs one test in a process of its own that ends.
    fn again(test: &str) -> Output {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.args(["--exact", test, "--nocapture"]).env(ENDS, "1").output().unwrap()
    }
}
