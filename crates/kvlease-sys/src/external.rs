//! External memory: memory of a caller, borrowed for the time of one call, with a keep-alive.
//!
//! The caller keeps the memory in place and leaves its content alone meanwhile, as with any
//! asynchronous read or write. It promises so when it makes the value; after that nothing here is
//! unsafe. With the feature `python` the memory can be that of a Python object.

use std::{any::Any, fmt, mem::ManuallyDrop, slice, sync::Arc};

/// Owner of external memory, which stays in place while any clone of this lives.
pub type KeepAlive = Arc<dyn Any + Send + Sync>;

/// External memory to read from.
#[derive(Clone)]
pub struct ExternalBytes {
    address: *const u8,
    len: usize,
    keep_alive: KeepAlive,
}

/// External memory to write into.
pub struct ExternalBuffer {
    address: *mut u8,
    len: usize,
    keep_alive: KeepAlive,
}

// SAFETY: the memory may be used from any thread, which is part of the caller's promise, and
// the keep-alive may be dropped on any thread.
unsafe impl Send for ExternalBytes {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for ExternalBytes {}
// SAFETY: as above.
unsafe impl Send for ExternalBuffer {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for ExternalBuffer {}

impl ExternalBytes {
    /// The `len` bytes at `address`.
    ///
    /// # Safety
    ///
    /// They must be readable from any thread for as long as `keep_alive` lives, and not be written to
    /// while any clone of the value lives.
    pub unsafe fn new(address: *const u8, len: usize, keep_alive: KeepAlive) -> Self {
        Self { address, len, keep_alive }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if the length is zero.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A clone of the keep-alive.
    pub fn keep_alive(&self) -> KeepAlive {
        Arc::clone(&self.keep_alive)
    }
}

impl ExternalBuffer {
    /// The `len` bytes at `address`.
    ///
    /// # Safety
    ///
    /// They must be readable and writable from any thread for as long as `keep_alive` lives, and
    /// have no other user while the value lives.
    pub unsafe fn new(address: *mut u8, len: usize, keep_alive: KeepAlive) -> Self {
        Self { address, len, keep_alive }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if the length is zero.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A clone of the keep-alive.
    pub fn keep_alive(&self) -> KeepAlive {
        Arc::clone(&self.keep_alive)
    }

    /// The first byte.
    pub(crate) fn address(&self) -> *mut u8 {
        self.address
    }

    /// Takes the first `len` bytes off: the buffer keeps what follows them.
    ///
    /// # Panics
    ///
    /// If the buffer is shorter.
    #[must_use]
    pub fn split_to(&mut self, len: usize) -> Self {
        assert!(len <= self.len, "a buffer is split within its length");
        let front = Self { address: self.address, len, keep_alive: Arc::clone(&self.keep_alive) };
        self.address = self.address.wrapping_add(len);
        self.len -= len;
        front
    }

    /// This buffer and the one that follows it in memory, as one: undoes [`Self::split_to`].
    ///
    /// # Panics
    ///
    /// If they are not neighbours of one keep-alive.
    #[must_use]
    pub fn join(self, next: Self) -> Self {
        let neighbours = self.address.wrapping_add(self.len) == next.address;
        assert!(
            neighbours && Arc::ptr_eq(&self.keep_alive, &next.keep_alive),
            "only neighbours are joined"
        );
        Self { address: self.address, len: self.len + next.len, keep_alive: self.keep_alive }
    }

    /// Buffer over the bytes of a vector. [`ExternalVec::take_back`] returns the vector.
    pub fn of_vec(bytes: Vec<u8>) -> (Self, ExternalVec) {
        let mut bytes = ManuallyDrop::new(bytes);
        let (address, len) = (bytes.as_mut_ptr(), bytes.len());
        let keep_alive = Arc::new(VecParts { address, len, capacity: bytes.capacity() });
        // SAFETY: the memory is freed, or given back, when the last keep-alive is dropped. Until
        // then only the buffer and its parts, which share no byte, reach it.
        let buffer = unsafe { Self::new(address, len, Arc::clone(&keep_alive) as KeepAlive) };
        (buffer, ExternalVec(keep_alive))
    }
}

/// Vector whose bytes an [`ExternalBuffer`] uses.
pub struct ExternalVec(Arc<VecParts>);

impl ExternalVec {
    /// The vector with its new content; `None` while the buffer or a part of it lives.
    pub fn take_back(self) -> Option<Vec<u8>> {
        Arc::into_inner(self.0).map(VecParts::into_vec)
    }
}

struct VecParts {
    address: *mut u8,
    len: usize,
    capacity: usize,
}

// SAFETY: the parts own the memory as the vector did, and vectors of bytes may change threads.
unsafe impl Send for VecParts {}
// SAFETY: a shared reference gives no access to the bytes.
unsafe impl Sync for VecParts {}

impl VecParts {
    fn into_vec(self) -> Vec<u8> {
        let parts = ManuallyDrop::new(self);
        // SAFETY: the parts are those of a vector that was not dropped, and are used once: here,
        // without `drop`.
        unsafe { Vec::from_raw_parts(parts.address, parts.len, parts.capacity) }
    }
}

impl Drop for VecParts {
    fn drop(&mut self) {
        // SAFETY: as above; `into_vec` never comes here.
        drop(unsafe { Vec::from_raw_parts(self.address, self.len, self.capacity) });
    }
}

impl fmt::Debug for ExternalVec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalVec").field("len", &self.0.len).finish_non_exhaustive()
    }
}

impl AsRef<[u8]> for ExternalBytes {
    fn as_ref(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the caller of `new` promised readable bytes that are not written to.
        unsafe { slice::from_raw_parts(self.address, self.len) }
    }
}

impl AsRef<[u8]> for ExternalBuffer {
    fn as_ref(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the caller of `new` promised readable bytes without other users.
        unsafe { slice::from_raw_parts(self.address, self.len) }
    }
}

impl AsMut<[u8]> for ExternalBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: the caller of `new` promised writable bytes without other users, and the value is
        // borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.address, self.len) }
    }
}

impl fmt::Debug for ExternalBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalBytes").field("len", &self.len).finish_non_exhaustive()
    }
}

impl fmt::Debug for ExternalBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalBuffer").field("len", &self.len).finish_non_exhaustive()
    }
}
