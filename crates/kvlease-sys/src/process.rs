//! Process id that is cheap to read, for guards that do nothing in a forked child.

use std::{
    mem, process, ptr,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use rustix::{
    io::Errno,
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap},
};

/// Id of this process, and another one in a forked child.
///
/// [`process::id`] returns the same and is a system call each time, which takes longer than most
/// other steps of a lease. Here the id is cached on a page of memory that the kernel zeroes in a
/// forked child, which then asks for its own.
pub fn process_id() -> u32 {
    static KEPT: OnceLock<Option<&AtomicU32>> = OnceLock::new();
    // Without such a page each call is a system call.
    let Some(kept) = KEPT.get_or_init(|| zeroed_by_fork().ok()) else { return process::id() };
    match kept.load(Ordering::Relaxed) {
        0 => {
            let id = process::id();
            kept.store(id, Ordering::Relaxed);
            id
        }
        id => id,
    }
}

/// Number that is zero now, and zero again in a forked child.
fn zeroed_by_fork() -> Result<&'static AtomicU32, Errno> {
    // The kernel makes a whole page of it.
    let (access, len) = (ProtFlags::READ | ProtFlags::WRITE, size_of::<AtomicU32>());
    // SAFETY: without a requested address the kernel chooses one where nothing else is mapped.
    let page = unsafe { mmap_anonymous(ptr::null_mut(), len, access, MapFlags::PRIVATE)? };
    // SAFETY: the page was just made and is not in use.
    let advised = unsafe { madvise(page, len, Advice::LinuxWipeOnFork) };
    if let Err(errno) = advised {
        // SAFETY: there is no other pointer into the page.
        unsafe { munmap(page, len)? };
        return Err(errno);
    }
    // SAFETY: the page is aligned, never unmapped, and only accessed atomically.
    Ok(unsafe { AtomicU32::from_ptr(page.cast()) })
}

/// Value that belongs to the process that made it.
///
/// A forked child shares sockets, leases and event descriptors with its parent, and has none of its
/// threads. So a child neither gets the value nor drops it: the value is forgotten there.
#[derive(Debug)]
pub struct OfProcess<T> {
    pid: u32,
    /// Present until the value is taken out or dropped.
    value: Option<T>,
}

impl<T> OfProcess<T> {
    /// Takes over a value of this process.
    pub fn new(value: T) -> Self {
        Self { pid: process_id(), value: Some(value) }
    }

    /// The value; `None` in a forked child.
    pub fn get(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.is_here())
    }

    /// The value, to be changed; `None` in a forked child.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        let is_here = self.is_here();
        self.value.as_mut().filter(|_| is_here)
    }

    /// The value for good; `None` in a forked child.
    pub fn into_inner(mut self) -> Option<T> {
        if self.is_here() { self.value.take() } else { None }
    }

    fn is_here(&self) -> bool {
        self.pid == process_id()
    }
}

impl<T> Drop for OfProcess<T> {
    fn drop(&mut self) {
        if !self.is_here() {
            mem::forget(self.value.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pretends that another process made the value.
    fn of_another_process<T>(value: T) -> OfProcess<T> {
        OfProcess { pid: process_id() + 1, value: Some(value) }
    }

    #[test]
    fn a_value_is_used_and_dropped_by_its_own_process_alone() {
        let value = std::sync::Arc::new(7);
        let mut own = OfProcess::new(std::sync::Arc::clone(&value));
        assert_eq!(own.get().map(|value| **value), Some(7));
        assert!(own.get_mut().is_some());
        assert_eq!(own.into_inner().as_deref(), Some(&7));
        assert_eq!(std::sync::Arc::strong_count(&value), 1);
        let mut other = of_another_process(std::sync::Arc::clone(&value));
        assert!(other.get().is_none() && other.get_mut().is_none());
        drop(other);
        assert!(of_another_process(std::sync::Arc::clone(&value)).into_inner().is_none());
        assert_eq!(std::sync::Arc::strong_count(&value), 3, "neither was dropped");
    }

    #[test]
    fn it_is_the_id_of_this_process() {
        assert_eq!((process_id(), process_id()), (process::id(), process::id()));
    }

    #[test]
    fn a_forked_child_has_another_id() {
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
