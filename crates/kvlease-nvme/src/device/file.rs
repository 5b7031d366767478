//! Device that is a file.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use kvlease_sys::IoBuffer;

use super::{Device, Queue, threads::ThreadQueue};

/// Device that is a file.
#[derive(Debug)]
pub(crate) struct FileDevice {
    file: Arc<File>,
}

impl FileDevice {
    pub(crate) fn new(file: File) -> Self {
        Self { file: Arc::new(file) }
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
        Ok(Box::new(ThreadQueue::new(&self.file, buffers.len())?))
    }
}
