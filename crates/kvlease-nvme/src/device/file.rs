//! Device that is a file.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, PoisonError},
};

use kvlease_sys::IoBuffer;

use super::{Device, Queue, ring::RingQueue, threads::ThreadQueue};
use crate::{
    config::IoChoice,
    way::{IoWay, Way},
};

/// Device that is a file.
#[derive(Debug)]
pub(crate) struct FileDevice {
    file: Arc<File>,
    choice: IoChoice,
    /// The slowest way of any queue.
    way: Mutex<Way>,
}

impl FileDevice {
    /// The device, and why it is not direct, if it is not.
    pub(crate) fn new(file: File, choice: IoChoice, not_direct: Option<String>) -> Self {
        let (is_direct, reason) = (not_direct.is_none(), not_direct);
        let io = IoWay::Ring { is_registered: true };
        let way = Mutex::new(Way { io, is_direct, reason });
        Self { file: Arc::new(file), choice, way }
    }

    /// Way of its queues.
    pub(crate) fn way(&self) -> Way {
        self.way.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of a queue that has not the fastest way.
    fn slower(&self, io: IoWay, reason: String) {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        if way.io == io {
            return;
        }
        way.io = io;
        way.reason = Some(match way.reason.take() {
            Some(first) => format!("{first}; {reason}"),
            None => reason,
        });
    }
}

impl Device for FileDevice {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn queue(&self, buffers: &[IoBuffer]) -> io::Result<Box<dyn Queue>> {
        let refused = match self.choice {
            IoChoice::Threads => "threads are configured".to_owned(),
            IoChoice::Auto => match RingQueue::new(&self.file, buffers, self.way().is_direct) {
                Ok(queue) => {
                    if let Some(error) = queue.not_registered() {
                        let reason = format!("the kernel registers no memory: {error}");
                        self.slower(IoWay::Ring { is_registered: false }, reason);
                    }
                    return Ok(Box::new(queue));
                }
                Err(error) => format!("the kernel refuses io_uring: {error}"),
            },
        };
        self.slower(IoWay::Threads, refused);
        Ok(Box::new(ThreadQueue::new(&self.file, buffers.len())?))
    }
}
