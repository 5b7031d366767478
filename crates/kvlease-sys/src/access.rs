//! Access to shared memory: for reading alone, or for writing too.

/// Access that a mapping or a descriptor allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
}
