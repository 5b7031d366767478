//! Handle of the daemon to the arena.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use kvlease_sys::{Access, Advice, Digest, Identity, MappedExtent, Mapping, boot_id, reopen};
use kvlease_types::{ByteSize, Extent, Offset};
use rustix::fs::{AtFlags, FsWord, fstatfs, statat};

use crate::{
    ArenaError, Incarnation, LeaseFence, LinkStatus, Manifest, ManifestFile, ManifestOrigin,
    Progress, SegmentOptions, Shortfall, StoredManifest, Undo,
    directory::{Directory, MANIFEST, MANIFEST_NEW},
    huge, link, manifest,
    populate::Population,
    segment::{self, Segment},
};

/// Types of file systems that are memory: tmpfs, ramfs, hugetlbfs.
const IN_MEMORY: [FsWord; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];

/// Arena, owned by this process until it is dropped. A drop leaves the segment and its bytes to the
/// next owner.
///
/// All methods take `&self` and may be called from many threads. The catalog decides which extents
/// may be read or written when; here only the bounds are checked.
#[derive(Debug)]
pub struct Arena {
    mapping: Arc<Mapping>,
    population: Population,
    fence: LeaseFence,
    incarnation: Incarnation,
    segment: Segment,
    reopened: bool,
    // Last, so that the lock is freed after everything else is closed.
    directory: Directory,
}

impl Arena {
    /// Reopens the segment that an earlier daemon left, with its bytes, or builds a new one, whose
    /// public name appears only once it is whole. It takes no memory yet: see
    /// [`Self::populate_next`].
    ///
    /// # Errors
    ///
    /// Each [`ArenaError`] is one line that names a configuration key, its value and the remedy.
    pub fn open(options: &SegmentOptions) -> Result<Self, ArenaError> {
        let directory = Directory::own(&options.dir, &options.name)?;
        let opened = match Opened::in_directory(&directory, options) {
            Ok(opened) => opened,
            Err(error) => {
                directory.abandon();
                return Err(error);
            }
        };
        let Opened { segment, reopened, fence, incarnation, mapping, population } = opened;
        let mapping = Arc::new(mapping);
        Ok(Self { mapping, population, fence, incarnation, segment, reopened, directory })
    }

    /// Removal of the arena in case that its daemon does not come to serve; `None` for one that an
    /// earlier daemon left.
    ///
    /// # Errors
    ///
    /// The kernel's error when it gives no more descriptors.
    pub fn undo(&self) -> Result<Option<Undo>, ArenaError> {
        if self.reopened {
            return Ok(None);
        }
        let path = self.directory.private_path();
        let directory = self.directory.try_clone();
        let directory =
            directory.map_err(ArenaError::io("keep the private directory open", path))?;
        Ok(Some(Undo::new(directory, self.segment.identity)))
    }

    /// False if the arena is on a file system with a disk behind it, to which the kernel writes its
    /// pages.
    pub fn is_in_memory(&self) -> bool {
        let found = fstatfs(&self.segment.file).map(|found| found.f_type);
        found.is_ok_and(|found| IN_MEMORY.contains(&found))
    }

    /// Length of the segment. After a [`Shortfall`] less of it is usable.
    pub fn capacity(&self) -> ByteSize {
        self.segment.capacity
    }

    /// Identity of the segment's file.
    pub fn identity(&self) -> Identity {
        self.segment.identity
    }

    /// True if the segment existed already, with the bytes of an earlier daemon.
    pub fn reopened(&self) -> bool {
        self.reopened
    }

    /// Size that the segment had been truncated to before it was reopened. The bytes beyond it are
    /// lost: zeros have their place.
    pub fn was_shrunk_to(&self) -> Option<ByteSize> {
        self.segment.shrunk_to
    }

    /// True if the segment still has its length. An access to a truncated part is a `SIGBUS`.
    ///
    /// # Errors
    ///
    /// The kernel's error.
    pub fn is_whole(&self) -> io::Result<bool> {
        Ok(self.segment.file.metadata()?.len() >= self.segment.capacity.bytes())
    }

    /// New descriptor to be passed to a client, which can write to the arena with it only if it is
    /// `writable`.
    ///
    /// # Errors
    ///
    /// The kernel's error, for example when `/proc` is not mounted.
    pub fn share(&self, writable: bool) -> io::Result<OwnedFd> {
        let access = if writable { Access::ReadWrite } else { Access::Read };
        reopen(self.segment.file.as_fd(), access)
    }

    /// Deadlines of the regions that may be leased.
    pub fn lease_fence(&self) -> &LeaseFence {
        &self.fence
    }

    /// Word that says which daemon the arena belongs to.
    pub fn incarnation(&self) -> &Incarnation {
        &self.incarnation
    }

    /// Manifest that an earlier daemon left.
    ///
    /// # Errors
    ///
    /// The kernel's error when the file exists and cannot be read. A file that is of another
    /// version, of another arena or corrupt is no error: see [`StoredManifest::origin`].
    pub fn stored_manifest(&self) -> Result<StoredManifest, ArenaError> {
        if !self.reopened {
            return Ok(StoredManifest::empty(ManifestOrigin::Created));
        }
        let path = self.directory.private_path().join(MANIFEST);
        manifest::find(&self.directory, &self.manifest_header()?)
            .map_err(ArenaError::io("read the manifest", path))
    }

    /// Memory of the manifest that an earlier daemon left; zero if there is none.
    pub fn stored_manifest_memory(&self) -> ByteSize {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = statat(self.directory.private(), MANIFEST, flags);
        // The kernel counts in blocks of 512 bytes.
        let blocks = stat.map_or(0, |stat| stat.st_blocks.cast_unsigned());
        ByteSize::new(blocks.saturating_mul(512))
    }

    /// An empty manifest for a catalog that may use `memory_max` of its own. A restarted daemon
    /// still finds the earlier one until [`Self::publish_manifest`], unless there is no memory for
    /// both: then the earlier one is removed, and has to be [read](Self::stored_manifest) before.
    ///
    /// # Errors
    ///
    /// [`ArenaError::NoRoomForManifest`] when there is no memory for it, and the kernel's error.
    pub fn new_manifest(&self, memory_max: ByteSize) -> Result<Manifest, ArenaError> {
        match self.build_manifest(memory_max) {
            Err(ArenaError::NoRoomForManifest { .. }) => {
                self.directory.discard(MANIFEST)?;
                self.build_manifest(memory_max)
            }
            built => built,
        }
        .map(Manifest::new)
    }

    fn build_manifest(&self, memory_max: ByteSize) -> Result<ManifestFile, ArenaError> {
        self.directory.discard(MANIFEST_NEW)?;
        let path = self.directory.private_path().join(MANIFEST_NEW);
        let built = manifest::build(&self.directory, &self.manifest_header()?, memory_max);
        built.map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull => {
                let public = self.directory.public_path();
                let dir = public.parent().unwrap_or(public).to_owned();
                ArenaError::NoRoomForManifest { dir, source }
            }
            _ => ArenaError::io("make the manifest", path)(source),
        })
    }

    /// Gives the new manifest the name of the earlier one: a restarted daemon finds it from now on.
    ///
    /// # Errors
    ///
    /// The kernel's error.
    pub fn publish_manifest(&self) -> Result<(), ArenaError> {
        let path = self.directory.private_path().join(MANIFEST);
        manifest::publish(&self.directory)
            .map_err(ArenaError::io("give the manifest its name", path))
    }

    fn manifest_header(&self) -> Result<manifest::Header, ArenaError> {
        let boot = boot_id();
        let boot = boot.map_err(ArenaError::io("read the kernel's boot id", "/proc"))?;
        let capacity = self.segment.capacity;
        Ok(manifest::Header { capacity, inode: self.segment.identity.inode, boot })
    }

    /// Reserves and faults in the next step of memory, about a tenth of a second of work. Bytes that
    /// exist already stay as they are.
    ///
    /// # Errors
    ///
    /// [`Shortfall`] when there is no memory left. The part that was populated stays, and later calls
    /// take it for the whole.
    pub fn populate_next(&self) -> Result<Progress, Shortfall> {
        self.population.populate(&self.segment.file, &self.mapping)
    }

    /// Number of bytes, from the start of the arena, that have their memory: extents are handed out
    /// only from these. In a reopened arena it is the earlier daemon's from the start.
    pub fn populated(&self) -> ByteSize {
        self.population.populated()
    }

    /// Lets no more than the first `most` bytes get their memory, beside those that have it: the rest
    /// is a [`Shortfall`].
    pub fn limit_population(&self, most: ByteSize) {
        self.population.limit(most);
    }

    /// True if the kernel gave huge pages to the populated part. Walks the process's page tables: for
    /// one log line, not for a hot path.
    pub fn huge_pages_granted(&self) -> bool {
        huge::granted(&self.mapping)
    }

    /// Restores the one of the arena's two names that is missing. To be called about once a second.
    ///
    /// # Errors
    ///
    /// [`ArenaError::Unlinked`] when both are missing: attached clients go on, no other can attach.
    pub fn keep_linked(&self) -> Result<LinkStatus, ArenaError> {
        link::keep(&self.directory, self.segment.identity)
    }

    /// Copies bytes to offset `at`, and takes them into the digest on the way.
    ///
    /// # Panics
    ///
    /// If a byte would land outside the populated part: extents come only from there.
    pub fn write(&self, at: Offset, bytes: &[u8], digest: &mut Digest) {
        let extent = Extent::new(at, ByteSize::new(bytes.len() as u64));
        let populated = self.populated();
        let inside = extent.end().is_some_and(|end| end.bytes() <= populated.bytes());
        assert!(inside, "a write outside the populated arena, {extent:?} populated=`{populated}`");
        self.mapping.copy_in(at, bytes, Some(digest));
    }

    /// Copies an extent out, and takes what was copied into the digest if there is one. The bytes are
    /// hostile: the caller compares their checksum.
    ///
    /// # Panics
    ///
    /// If the extent is outside the arena or `into` has another length.
    pub fn read(&self, extent: Extent, into: &mut [u8], digest: Option<&mut Digest>) {
        self.mapping.copy_out(extent, into, digest);
    }

    /// Appends an extent to `into`, and takes what was copied into the digest, for bytes that the daemon
    /// reads next, to encrypt or to send them. They are hostile as well.
    ///
    /// # Panics
    ///
    /// If the extent is outside the arena.
    pub fn append_cached(&self, extent: Extent, into: &mut Vec<u8>, digest: &mut Digest) {
        self.mapping.append_cached(extent, into, digest);
    }

    /// The memory of an extent, for transfers without a copy; `None` if any byte of it is outside the
    /// populated part.
    pub fn memory(&self, extent: Extent) -> Option<MappedExtent> {
        let is_inside = extent.end().is_some_and(|end| end.bytes() <= self.populated().bytes());
        MappedExtent::new(&self.mapping, extent).filter(|_| is_inside)
    }

    /// Takes the bytes of an extent into the digest.
    ///
    /// # Panics
    ///
    /// If the extent is outside the arena.
    pub fn digest(&self, extent: Extent, digest: &mut Digest) {
        self.mapping.digest(extent, digest);
    }
}

/// Parts of an arena that were opened in its directory.
struct Opened {
    segment: Segment,
    reopened: bool,
    fence: LeaseFence,
    incarnation: Incarnation,
    mapping: Mapping,
    population: Population,
}

impl Opened {
    fn in_directory(directory: &Directory, options: &SegmentOptions) -> Result<Self, ArenaError> {
        let existing = segment::reopen(directory, options)?;
        let reopened = existing.is_some();
        let segment = match existing {
            Some(segment) => segment,
            None => {
                let capacity = segment::capacity_to_create(options)?;
                let (own, promised) = (options.own_memory, options.promised);
                options.limits.check_beside(&options.dir, capacity, own, promised)?;
                segment::build(directory, options, capacity)?
            }
        };
        let (longest, now) = (options.lease_ttl_max, (options.clock)());
        let fence = LeaseFence::open(directory, segment.capacity, reopened, longest, now)?;
        let incarnation = Incarnation::open(directory)?;
        let mapping = map(&segment, options)?;
        let heeds_advice = options.huge_pages && huge::on_advice(segment.identity);
        let population = Population::new(&segment.file, segment.capacity, heeds_advice)
            .map_err(ArenaError::io("look for holes in the arena", directory.public_path()))?;
        if !reopened {
            segment::publish(directory, &segment)?;
        }
        Ok(Self { segment, reopened, fence, incarnation, mapping, population })
    }
}

fn map(segment: &Segment, options: &SegmentOptions) -> Result<Mapping, ArenaError> {
    let path = options.dir.join(options.name.as_str());
    let len = usize::try_from(segment.capacity.bytes()).expect("addresses have 64 bits");
    let mapping = Mapping::new(segment.file.as_fd(), len, Access::ReadWrite)
        .map_err(ArenaError::io("map the arena", path))?;
    if options.huge_pages {
        let whole = Extent::new(Offset::new(0), segment.capacity);
        // A kernel without huge pages refuses the advice; `huge_pages_granted` shows the outcome.
        let _unheeded = mapping.advise(whole, Advice::HugePages);
    }
    Ok(mapping)
}
