//! Copies and checksums on real shared memory.

mod copy;
mod external;
mod external_memory;
