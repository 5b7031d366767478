//! The allocator's free memory.

/// Bounds the number of heaps among which the allocator of glibc spreads the threads. Each heap keeps free memory
/// of its own, and by default there are up to eight for each processor. Threads beyond the number share them.
///
/// Other allocators bound nothing. A number in the environment, by `MALLOC_ARENA_MAX` or `GLIBC_TUNABLES`, is
/// the operator's choice and the caller's to look for.
pub fn bound_heaps(count: usize) {
    #[cfg(target_env = "gnu")]
    {
        let count = libc::c_int::try_from(count).unwrap_or(libc::c_int::MAX);
        // SAFETY: the call takes the allocator's own locks, and sets a number that it reads when a
        // thread first allocates.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, count);
        }
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = count;
}

/// Gives free memory of the heap back to the system. The allocator of glibc keeps what lies between
/// pieces that are in use; other allocators return memory by themselves.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes the allocator's own locks, and touches nothing but free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
