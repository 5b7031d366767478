//! The manifest's file: found, built, named, and its memory got ahead of its use.

use std::{
    fs::File,
    io,
    os::{fd::AsFd, unix::fs::FileExt},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use kvlease_types::ByteSize;
use rustix::{
    fs::{FallocateFlags, Mode, OFlags, SeekFrom, fallocate, ftruncate, openat, seek},
    io::{Errno, retry_on_intr},
};

use super::{CELL_LEN, CELL_ROOM, HEADER_CELLS, Manifest, ManifestOrigin, StoredManifest};
use super::{cells::Cells, header::Header};
use crate::{
    ArenaError,
    directory::Directory,
    file_header::HEADER_LEN,
    mapping::{Access, Mapping},
};

/// The manifest, in the private directory.
pub(crate) const FILE: &str = "record";
/// A manifest that is being built.
pub(crate) const UNDER_CONSTRUCTION: &str = "record.new";

/// Cells whose memory is got at once: 4 MiB.
const STEP: u32 = 16 << 10;
/// The smallest step that is still tried when a larger one fails: 64 KiB.
const STEP_MIN: u32 = 256;

/// The mapped file of a manifest.
#[derive(Debug)]
pub struct ManifestFile {
    file: File,
    cells: Cells,
    /// How many cells there can ever be.
    cells_max: u32,
    /// Cells below this are in use, or were.
    used: AtomicU32,
    /// Cells below this have their memory.
    reserved: AtomicU32,
    reserving: Mutex<()>,
}

impl ManifestFile {
    /// Gets memory for the cells that will be needed next. To be called again and again, apart
    /// from what must not wait: writing then never does.
    ///
    /// # Errors
    ///
    /// What the kernel says when there is no memory. What is recorded stays.
    pub fn reserve_ahead(&self) -> io::Result<()> {
        let wanted = self.used.load(Ordering::Relaxed).saturating_add(STEP).min(self.cells_max);
        while self.reserved.load(Ordering::Acquire) < wanted {
            self.reserve_step()?;
        }
        Ok(())
    }

    pub(super) fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Whether a cell can be used: gets its memory if nobody did so ahead.
    fn has(&self, cell: u32) -> bool {
        while self.reserved.load(Ordering::Acquire) <= cell {
            if cell >= self.cells_max || self.reserve_step().is_err() {
                return false;
            }
        }
        true
    }

    /// The next cell that was never used; `None` if there is no memory for it. For the one who
    /// writes the manifest.
    pub(super) fn take(&self) -> Option<u32> {
        let cell = self.used.load(Ordering::Relaxed);
        if !self.has(cell) {
            return None;
        }
        self.used.store(cell + 1, Ordering::Relaxed);
        Some(cell)
    }

    fn reserve_step(&self) -> io::Result<()> {
        let _one = self.reserving.lock().unwrap_or_else(PoisonError::into_inner);
        let from = self.reserved.load(Ordering::Acquire);
        let mut step = STEP;
        loop {
            let to = from.saturating_add(step).min(self.cells_max);
            let (at, len) = (bytes_of(from), bytes_of(to) - bytes_of(from));
            match retry_on_intr(|| fallocate(&self.file, FallocateFlags::empty(), at, len)) {
                Ok(()) => {
                    self.reserved.store(to, Ordering::Release);
                    return Ok(());
                }
                Err(_) if step > STEP_MIN => step /= 2,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Reads what an earlier daemon recorded beside a reopened arena.
pub(crate) fn find(directory: &Directory, wanted: &Header) -> io::Result<StoredManifest> {
    let file = match open(directory)? {
        Ok(file) => file,
        Err(origin) => return Ok(StoredManifest::nothing(origin)),
    };
    // Cells are used from the front: behind the last one that ever was there is nothing.
    let len = match seek(&file, SeekFrom::Hole(0)) {
        Ok(len) => len,
        Err(Errno::NXIO) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    let origin = wanted.judge(&bytes);
    if origin != ManifestOrigin::Kept {
        bytes.clear();
    }
    Ok(StoredManifest { origin, bytes })
}

/// The length that the arena of this inode has, according to its manifest if there is one.
pub(crate) fn stated_capacity(
    directory: &Directory,
    inode: u64,
) -> Result<Option<ByteSize>, ArenaError> {
    let path = || directory.private_path().join(FILE);
    let Ok(file) = open(directory).map_err(ArenaError::io("open the manifest", path()))? else {
        return Ok(None);
    };
    let mut header = [0; HEADER_LEN];
    if file.read_exact_at(&mut header, 0).is_err() {
        return Ok(None);
    }
    let stated = Header::decode(&header).ok().filter(|header| header.inode == inode);
    Ok(stated.map(|header| header.capacity))
}

/// Opens the manifest that is there; or why none can be read.
fn open(directory: &Directory) -> io::Result<Result<File, ManifestOrigin>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: File = match openat(directory.private(), FILE, flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(Errno::NOENT) => return Ok(Err(ManifestOrigin::Missing)),
        Err(Errno::LOOP) => return Ok(Err(ManifestOrigin::Corrupt)),
        Err(errno) => return Err(errno.into()),
    };
    let whole = file.metadata()?.is_file();
    Ok(if whole { Ok(file) } else { Err(ManifestOrigin::Corrupt) })
}

/// Builds an empty manifest for a catalog that may use `memory_max` of its own. It has no name yet
/// under which a restarted daemon would find it.
pub(crate) fn build(
    directory: &Directory,
    header: &Header,
    memory_max: ByteSize,
) -> io::Result<Manifest> {
    over(directory.create(UNDER_CONSTRUCTION)?, header, memory_max)
}

/// Makes an empty file into an empty manifest.
pub(super) fn over(file: File, header: &Header, memory_max: ByteSize) -> io::Result<Manifest> {
    // What fills a cell takes at least as much of the catalog's memory. The file is sparse.
    let cells = memory_max.bytes() / CELL_ROOM as u64 + 1;
    let cells_max = u32::try_from(cells).unwrap_or(u32::MAX - HEADER_CELLS) + HEADER_CELLS;
    ftruncate(&file, bytes_of(cells_max))?;
    let len = usize::try_from(bytes_of(cells_max)).map_err(io::Error::other)?;
    let cells = Cells::new(Mapping::new(file.as_fd(), len, Access::ReadWrite)?);
    let (used, reserved) = (AtomicU32::new(HEADER_CELLS), AtomicU32::new(0));
    let reserving = Mutex::new(());
    let built = ManifestFile { file, cells, cells_max, used, reserved, reserving };
    // The header at least; more is got when it is needed.
    built.reserve_step()?;
    built.file.write_all_at(&header.encode(), 0)?;
    Ok(Manifest::new(Arc::new(built)))
}

/// Gives the manifest that was built the name under which a restarted daemon finds it.
pub(crate) fn publish(directory: &Directory) -> io::Result<()> {
    Ok(directory.rename(UNDER_CONSTRUCTION, FILE)?)
}

fn bytes_of(cells: u32) -> u64 {
    u64::from(cells) * CELL_LEN as u64
}
