//! The number of this process, for guards that do nothing in a forked child.

use std::{
    process, ptr,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use rustix::{
    io::Errno,
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap},
};

/// The number of this process, and another one in a forked child.
///
/// [`process::id`] tells the same and is a system call each time, which takes longer than most of
/// what a lease costs. Here the number is kept on a page of memory that the kernel hands to a
/// forked child empty, who then asks for its own.
pub fn process_id() -> u32 {
    static KEPT: OnceLock<Option<&AtomicU32>> = OnceLock::new();
    // A kernel that cannot empty pages is asked each time.
    let Some(kept) = KEPT.get_or_init(|| emptied_by_fork().ok()) else { return process::id() };
    match kept.load(Ordering::Relaxed) {
        0 => {
            let id = process::id();
            kept.store(id, Ordering::Relaxed);
            id
        }
        id => id,
    }
}

/// A zero that is zero again in a forked child, whatever it is by then.
fn emptied_by_fork() -> Result<&'static AtomicU32, Errno> {
    // The kernel makes a whole page of it.
    let (access, len) = (ProtFlags::READ | ProtFlags::WRITE, size_of::<AtomicU32>());
    // SAFETY: without a wished address the kernel puts the page where nothing else is.
    let page = unsafe { mmap_anonymous(ptr::null_mut(), len, access, MapFlags::PRIVATE)? };
    // SAFETY: the page was just made, and nobody knows what is in it.
    let advised = unsafe { madvise(page, len, Advice::LinuxWipeOnFork) };
    if let Err(errno) = advised {
        // SAFETY: nobody has a pointer into the page.
        unsafe { munmap(page, len)? };
        return Err(errno);
    }
    // SAFETY: the page is aligned and never unmapped, and whoever uses it does so atomically.
    Ok(unsafe { AtomicU32::from_ptr(page.cast()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_number_of_this_process() {
        assert_eq!((process_id(), process_id()), (process::id(), process::id()));
    }

    #[test]
    fn a_forked_child_has_another_number() {
        let parent = process_id();
        // SAFETY: the child does nothing but system calls and what is tested, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let right = process_id() != parent && process_id() == process::id();
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(i32::from(!right)) };
        }
        let mut status = -1;
        // SAFETY: the child is this test's own, and the status has room.
        let ended = unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!((ended, status), (child, 0));
        assert_eq!(process_id(), parent);
    }
}
