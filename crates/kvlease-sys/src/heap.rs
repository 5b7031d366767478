//! The allocator's free memory.

/// Gives free memory of the heap back to the system. The allocator of glibc keeps what lies between
/// pieces that are in use; other allocators return memory by themselves.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes the allocator's own locks, and touches nothing but free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
