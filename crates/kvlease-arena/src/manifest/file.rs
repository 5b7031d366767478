//! File of the manifest: search, construction, naming, and reservation of its memory ahead of use.

use std::{
    fs::File,
    io,
    os::{fd::AsFd, unix::fs::FileExt},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use kvlease_sys::{Access, Mapping};
use kvlease_types::ByteSize;
use rustix::{
    fs::{FallocateFlags, OFlags, SeekFrom, fallocate, ftruncate, seek},
    io::{Errno, retry_on_intr},
};

use super::{
    cells::Cells,
    header::Header,
    layout::{CELL_LEN, CELL_ROOM, HEADER_CELLS},
    origin::ManifestOrigin,
    stored::StoredManifest,
};
use crate::{
    ArenaError,
    directory::{Directory, MANIFEST, MANIFEST_NEW},
    file_header::HEADER_LEN,
};

/// Cells whose memory is reserved at once: 4 MiB.
const STEP: u32 = 16 << 10;
/// The smallest step that is still tried when a larger one fails: 64 KiB.
const STEP_MIN: u32 = 256;

/// Mapped file of a manifest.
#[derive(Debug)]
pub struct ManifestFile {
    file: File,
    cells: Cells,
    /// Number of cells that the file can ever have.
    cells_max: u32,
    /// Cells below this are in use, or were.
    used: AtomicU32,
    /// Cells below this have their memory.
    reserved: AtomicU32,
    reserving: Mutex<()>,
}

impl ManifestFile {
    /// Reserves memory for the cells that will be needed next. To be called regularly, outside of
    /// the catalog's lock: then an insertion never waits for memory.
    ///
    /// # Errors
    ///
    /// The kernel's error when there is no memory. The entries that exist stay.
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

    /// True if a cell can be used. Reserves its memory if that was not done ahead.
    fn has(&self, cell: u32) -> bool {
        while self.reserved.load(Ordering::Acquire) <= cell {
            if cell >= self.cells_max || self.reserve_step().is_err() {
                return false;
            }
        }
        true
    }

    /// The next cell that was never used; `None` if there is no memory for it. For the one writer
    /// of the manifest.
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

/// Reads the manifest that an earlier daemon left beside a reopened arena.
pub(crate) fn find(directory: &Directory, wanted: &Header) -> io::Result<StoredManifest> {
    let file = match open(directory)? {
        Ok(file) => file,
        Err(origin) => return Ok(StoredManifest::empty(origin)),
    };
    // Cells are used from the front: the file is empty from its first hole on.
    let len = match seek(&file, SeekFrom::Hole(0)) {
        Ok(len) => len,
        Err(Errno::NXIO) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(match wanted.judge(&bytes) {
        ManifestOrigin::Kept => StoredManifest::from_bytes(bytes),
        origin => StoredManifest::empty(origin),
    })
}

/// Length of the arena with this inode, according to its manifest if there is one.
pub(crate) fn stated_capacity(
    directory: &Directory,
    inode: u64,
) -> Result<Option<ByteSize>, ArenaError> {
    let path = || directory.private_path().join(MANIFEST);
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

/// Opens the manifest of an earlier daemon, or says why none can be read.
fn open(directory: &Directory) -> io::Result<Result<File, ManifestOrigin>> {
    let file = match directory.open(MANIFEST, OFlags::RDONLY) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Err(ManifestOrigin::Missing)),
        Err(Errno::LOOP) => return Ok(Err(ManifestOrigin::Corrupt)),
        Err(errno) => return Err(errno.into()),
    };
    let whole = file.metadata()?.is_file();
    Ok(if whole { Ok(file) } else { Err(ManifestOrigin::Corrupt) })
}

/// Builds an empty manifest for a catalog that may use `memory_max` of its own. Only
/// [`publish`] gives it the name under which a restarted daemon finds it.
pub(crate) fn build(
    directory: &Directory,
    header: &Header,
    memory_max: ByteSize,
) -> io::Result<ManifestFile> {
    over(directory.create(MANIFEST_NEW)?, header, memory_max)
}

/// Makes an empty file into an empty manifest.
pub(super) fn over(file: File, header: &Header, memory_max: ByteSize) -> io::Result<ManifestFile> {
    // The content of a cell takes at least as much of the catalog's memory. The file is sparse.
    let cells = memory_max.bytes() / CELL_ROOM as u64 + 1;
    let cells_max = u32::try_from(cells).unwrap_or(u32::MAX - HEADER_CELLS) + HEADER_CELLS;
    ftruncate(&file, bytes_of(cells_max))?;
    let len = usize::try_from(bytes_of(cells_max)).map_err(io::Error::other)?;
    let cells = Cells::new(Mapping::new(file.as_fd(), len, Access::ReadWrite)?);
    let (used, reserved) = (AtomicU32::new(HEADER_CELLS), AtomicU32::new(0));
    let reserving = Mutex::new(());
    let built = ManifestFile { file, cells, cells_max, used, reserved, reserving };
    // Memory for the header at least; the cells get theirs when they are needed.
    built.reserve_step()?;
    built.file.write_all_at(&header.encode(), 0)?;
    Ok(built)
}

/// Gives the manifest that was built the name under which a restarted daemon finds it.
pub(crate) fn publish(directory: &Directory) -> io::Result<()> {
    Ok(directory.rename(MANIFEST_NEW, MANIFEST)?)
}

fn bytes_of(cells: u32) -> u64 {
    u64::from(cells) * CELL_LEN as u64
}
