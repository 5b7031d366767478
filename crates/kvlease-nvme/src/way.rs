//! Way in which the tier moves bytes between memory and the device.

use std::fmt;

/// Way in which the tier moves bytes between memory and the device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// Interface to the kernel.
    pub io: IoWay,
    /// Whether transfers go around the page cache.
    pub is_direct: bool,
    /// Why it is not a faster way, if it is not.
    pub reason: Option<String>,
}

/// Interface to the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoWay {
    /// `io_uring`.
    Ring {
        /// Whether the buffers are registered with the kernel, which saves CPU.
        is_registered: bool,
    },
    /// Threads that read and write.
    Threads,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.io {
            IoWay::Ring { is_registered: true } => "io_uring, registered buffers",
            IoWay::Ring { is_registered: false } => "io_uring",
            IoWay::Threads => "threads",
        })?;
        f.write_str(if self.is_direct { ", direct" } else { ", buffered" })
    }
}
