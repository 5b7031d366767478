//! Shards on their way out of files.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use kvlease_sys::Digest;
use kvlease_types::Checksum;
use rustix::fs::{Advice, fadvise};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    format::HEADER_LEN,
    store::{Disk, StoredFile},
};
use crate::read::{READ_PIECE_MAX, ReadError};

/// Shard that is being read out of its file, one piece ahead of its reader. A file that is removed
/// meanwhile can be read to its end.
#[derive(Debug)]
pub(in super::super) struct FileRead {
    /// The file, while no piece is on its way out of it.
    reader: Option<Box<Reader>>,
    /// The piece that is on its way.
    reading: Option<Reading>,
    checksum: Checksum,
    /// Bytes that were not given out.
    left: u64,
}

/// The next piece, and the file again.
type Reading = JoinHandle<io::Result<(Box<Reader>, Vec<u8>)>>;

#[derive(Debug)]
struct Reader {
    file: File,
    position: u64,
    end: u64,
    digest: Digest,
}

impl FileRead {
    /// Opens a file. Nothing is read before the first piece is asked for.
    pub(in super::super) async fn open(disk: &Arc<Disk>, stored: StoredFile) -> io::Result<Self> {
        let path = disk.path_of(&stored);
        let opened = spawn_blocking(move || -> io::Result<File> {
            let file = File::open(path)?;
            fadvise(&file, 0, None, Advice::Sequential)?;
            Ok(file)
        });
        let file = opened.await.map_err(io::Error::other)??;
        let StoredFile { len, checksum, .. } = stored;
        let end = HEADER_LEN + len.bytes();
        let reader = Reader { file, position: HEADER_LEN, end, digest: Digest::new() };
        Ok(Self { reader: Some(Box::new(reader)), reading: None, checksum, left: len.bytes() })
    }

    /// How many bytes are still to be given out; all of the shard's at first.
    pub(in super::super) const fn left(&self) -> u64 {
        self.left
    }

    /// Checksum that the shard was stored with.
    pub(in super::super) const fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// The next piece; `None` behind the last one. The last one is given out only if all bytes match the
    /// checksum.
    pub(in super::super) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, ReadError>> {
        if self.left == 0 {
            return Poll::Ready(Ok(None));
        }
        if let Some(reader) = self.reader.take() {
            self.reading = Some(reader.start());
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(Err(ReadError::Corrupt)) };
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        let read = read.map_err(io::Error::other).and_then(|read| read);
        let (reader, piece) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!("a shard cannot be read from the disk: {error}");
                return Poll::Ready(Err(ReadError::Corrupt));
            }
        };
        self.left -= piece.len() as u64;
        if self.left > 0 {
            self.reading = Some(reader.start());
        } else if reader.digest.finish() != self.checksum {
            return Poll::Ready(Err(ReadError::Corrupt));
        }
        Poll::Ready(Ok(Some(Bytes::from(piece))))
    }
}

impl Reader {
    fn start(mut self: Box<Self>) -> Reading {
        spawn_blocking(move || {
            let len = (self.end - self.position).min(READ_PIECE_MAX as u64);
            let mut piece = vec![0; len as usize];
            self.file.read_exact_at(&mut piece, self.position)?;
            self.digest.update(&piece);
            self.position += len;
            Ok((self, piece))
        })
    }
}
