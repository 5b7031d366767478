//! Device under the log: a file, or what tests put there.

mod file;
mod ring;
mod threads;

use std::{fmt, io, sync::Arc};

use kvlease_sys::{IoBuffer, MappedExtent};

pub(crate) use file::FileDevice;

/// Storage that the log is on. All offsets and lengths are multiples of the block.
pub(crate) trait Device: fmt::Debug + Send + Sync {
    /// Reads bytes, and waits for them.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Writes bytes. They survive a power loss after the next [`Self::sync`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything durable whose write was completed before.
    fn sync(&self) -> io::Result<()>;

    /// Queue of transfers for one worker, which will use these buffers.
    fn queue(&self, buffers: &[IoBuffer]) -> io::Result<Box<dyn Queue>>;
}

/// Queue of transfers that are under way at the same time.
pub(crate) trait Queue: Send {
    /// Handle that ends a wait.
    fn waker(&self) -> Arc<dyn Wake>;

    /// Whether transfers may have shared memory.
    fn takes_shared(&self) -> bool {
        false
    }

    /// Starts a transfer. The queue has its buffer until it is completed.
    fn submit(&mut self, transfer: Transfer);

    /// Waits until a transfer is completed or the waker is used, and appends all that are completed.
    fn wait(&mut self, completed: &mut Vec<Completed>);
}

/// Handle that ends a wait of a queue, now or the next one.
pub(crate) trait Wake: Send + Sync {
    fn wake(&self);
}

/// Direction of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Names a transfer: the job that it is for, and its piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) job: u64,
    pub(crate) piece: u32,
}

/// Read or write of a piece.
///
/// The bytes of the file are, in order: the buffer's first `before` bytes, the shared memory, and more
/// bytes of the buffer. Without shared memory they are the buffer's first bytes.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) token: Token,
    pub(crate) direction: Direction,
    pub(crate) offset: u64,
    pub(crate) buffer: IoBuffer,
    /// Bytes that are moved.
    pub(crate) len: usize,
    /// Bytes of the buffer and of the shared memory in a transfer that has any.
    pub(crate) split: Split,
    pub(crate) shared: Vec<MappedExtent>,
}

/// Division of a piece that is moved between the device and shared memory.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Split {
    /// Bytes of the buffer in front of the shared memory.
    pub(crate) before: usize,
    /// Bytes of the shared memory: whole blocks.
    pub(crate) shared: usize,
    /// Bytes of the buffer behind the shared memory.
    pub(crate) after: usize,
}

/// Transfer that ended.
#[derive(Debug)]
pub(crate) struct Completed {
    pub(crate) token: Token,
    pub(crate) buffer: IoBuffer,
    pub(crate) shared: Vec<MappedExtent>,
    pub(crate) result: io::Result<()>,
}
