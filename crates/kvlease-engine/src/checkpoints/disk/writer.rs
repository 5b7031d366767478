//! Shards on their way into files.

use std::{
    fs::{self, File, OpenOptions},
    io,
    num::NonZero,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
    sync::Arc,
};

use kvlease_sys::Digest;
use kvlease_types::{BucketName, ByteSize, WriteRefused};
use rustix::{
    fs::{Advice, FallocateFlags, fadvise, fallocate},
    io::Errno,
};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    super::{
        name::{NamespaceShape, ShardName},
        refused::CheckpointRefused,
    },
    format::{HEADER_LEN, Header},
    store::{Disk, StoredFile, sync_directory},
};

/// Bytes that are collected before they are written.
const PIECE_LEN: usize = 1 << 20;

/// Bytes after which what was written is made durable, and leaves the page cache: so the end of a long
/// shard waits for little, and shards take no memory from the arena.
const SYNC_EVERY: u64 = 64 << 20;

/// Permissions of a file.
const MODE: u32 = 0o600;

/// Shard that is being written into a file. Dropping it removes the file.
#[derive(Debug)]
pub(in super::super) struct FileWrite {
    announced: ByteSize,
    received: u64,
    buffer: Vec<u8>,
    /// The file, while no piece is on its way into it.
    writer: Option<Box<Writer>>,
    /// The piece that is on its way.
    writing: Option<JoinHandle<io::Result<Box<Writer>>>>,
}

/// File that is written. It moves to the blocking thread with each piece.
#[derive(Debug)]
struct Writer {
    disk: Arc<Disk>,
    id: u64,
    file: File,
    unfinished: Unfinished,
    whole: PathBuf,
    digest: Digest,
    len: u64,
    synced: u64,
}

/// Path of a file that goes with this, unless it is kept.
#[derive(Debug)]
struct Unfinished {
    path: PathBuf,
    is_kept: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::error!(file = %self.path.display(), "a shard cannot be removed: {error}");
        }
    }
}

/// Shard whose file is whole and durable. Dropping it removes the file, unless it was [kept](Self::keep).
#[derive(Debug)]
pub(in super::super) struct Finished {
    pub(in super::super) file: StoredFile,
    unfinished: Unfinished,
}

impl Finished {
    pub(in super::super) fn keep(mut self) -> StoredFile {
        self.unfinished.is_kept = true;
        self.file
    }
}

impl FileWrite {
    /// Makes a file, with room for a shard of this length.
    pub(in super::super) async fn begin(
        disk: &Arc<Disk>,
        len: ByteSize,
    ) -> Result<Self, CheckpointRefused> {
        let disk = Arc::clone(disk);
        let made = run(move || Writer::begin(disk, len)).await;
        let writer = made.map_err(refused("making a file"))?;
        Ok(Self {
            announced: len,
            received: 0,
            buffer: Vec::new(),
            writer: Some(Box::new(writer)),
            writing: None,
        })
    }

    /// Appends bytes. Waits for the piece before the one that they complete.
    pub(in super::super) async fn write(
        &mut self,
        mut bytes: &[u8],
    ) -> Result<(), CheckpointRefused> {
        self.received += bytes.len() as u64;
        if self.received > self.announced.bytes() {
            return Err(WriteRefused::TooLong { announced: self.announced }.into());
        }
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_LEN - self.buffer.len()));
            if self.buffer.is_empty() {
                // At once: to grow copies it again and again.
                self.buffer.reserve_exact(PIECE_LEN);
            }
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == PIECE_LEN {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Makes the shard whole and durable.
    pub(in super::super) async fn finish(
        mut self,
        bucket: &BucketName,
        shape: NamespaceShape,
        name: &ShardName,
    ) -> Result<Finished, CheckpointRefused> {
        if self.received != self.announced.bytes() {
            let (received, announced) = (ByteSize::new(self.received), self.announced);
            return Err(WriteRefused::Incomplete { received, announced }.into());
        }
        self.send().await?;
        let writer = self.idle().await?;
        let (bucket, name) = (bucket.clone(), name.clone());
        let (len, checksum) = (self.announced, writer.digest.finish());
        let header = Header { bucket, shape, name, len, checksum };
        run(move || writer.finish(&header)).await.map_err(refused("making a shard durable"))
    }

    /// Sends what was collected on its way.
    async fn send(&mut self) -> Result<(), CheckpointRefused> {
        let mut writer = self.idle().await?;
        let piece = std::mem::take(&mut self.buffer);
        self.writing = Some(spawn_blocking(move || {
            writer.write(&piece)?;
            Ok(writer)
        }));
        Ok(())
    }

    /// The file, once no piece is on its way into it.
    async fn idle(&mut self) -> Result<Box<Writer>, CheckpointRefused> {
        if let Some(writing) = self.writing.take() {
            return joined(writing).await.map_err(refused("writing"));
        }
        self.writer.take().ok_or(CheckpointRefused::DiskFailed)
    }
}

impl Writer {
    fn begin(disk: Arc<Disk>, len: ByteSize) -> io::Result<Self> {
        let (id, [path, whole]) = disk.next_paths();
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(MODE).open(&path)?;
        let unfinished = Unfinished { path, is_kept: false };
        match fallocate(&file, FallocateFlags::empty(), 0, HEADER_LEN.saturating_add(len.bytes())) {
            // Where room cannot be reserved, a write may find none.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
        let digest = Digest::new();
        Ok(Self { disk, id, file, unfinished, whole, digest, len: 0, synced: 0 })
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.digest.update(piece);
        self.file.write_all_at(piece, HEADER_LEN + self.len)?;
        self.len += piece.len() as u64;
        if self.len - self.synced >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        let part = NonZero::new(self.len - self.synced);
        fadvise(&self.file, HEADER_LEN + self.synced, part, Advice::DontNeed)?;
        self.synced = self.len;
        Ok(())
    }

    /// The header comes once the bytes are durable, and the name once the header is: whatever ends the
    /// machine in between, no start takes the file for a shard.
    fn finish(mut self, header: &Header) -> io::Result<Finished> {
        self.sync()?;
        self.file.write_all_at(&header.encode(), 0)?;
        self.file.sync_all()?;
        fs::rename(&self.unfinished.path, &self.whole)?;
        self.unfinished.path = self.whole;
        sync_directory(self.disk.directory())?;
        let file = StoredFile { id: self.id, len: header.len, checksum: header.checksum };
        Ok(Finished { file, unfinished: self.unfinished })
    }
}

async fn run<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    joined(spawn_blocking(work)).await
}

/// The result of a job; it has none if the runtime ends.
async fn joined<T>(job: JoinHandle<io::Result<T>>) -> io::Result<T> {
    job.await.map_err(io::Error::other)?
}

/// Refusal of a shard that the disk does not take. The operator gets the reason.
fn refused(what: &'static str) -> impl FnOnce(io::Error) -> CheckpointRefused {
    move |error| {
        tracing::error!("a shard cannot be stored on the disk: {what} failed: {error}");
        CheckpointRefused::DiskFailed
    }
}
