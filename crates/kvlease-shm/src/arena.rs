//! The daemon's handle to the arena.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use kvlease_types::{ByteSize, Extent, Offset};
use rustix::mm::Advice;

use crate::{
    ArenaError, Digest, Identity, LeaseFence, LinkStatus, Manifest, ManifestOrigin, Progress,
    SegmentOptions, Shortfall, StoredManifest,
    clock::boot_id,
    copy,
    descriptor::reopen,
    directory::Directory,
    huge, link, manifest,
    mapping::{Access, Mapping},
    populate::Population,
    segment::{self, Segment},
};

/// The arena, owned by this process until it is dropped. Dropping it leaves the segment and its
/// bytes to the next owner.
///
/// All methods take `&self` and may be called from many threads. Which extents may be read or
/// written when is decided elsewhere; here only the bounds are guarded.
#[derive(Debug)]
pub struct Arena {
    mapping: Mapping,
    population: Population,
    fence: LeaseFence,
    segment: Segment,
    reopened: bool,
    // Last, so that the lock is freed only when nothing else of the arena is left.
    directory: Directory,
}

impl Arena {
    /// Reopens the segment that an earlier daemon left, with its bytes, or builds a new one, whose
    /// public name appears only once it is whole. No memory is taken yet: see
    /// [`Self::reserve_next`] and [`Self::populate_next`].
    ///
    /// # Errors
    ///
    /// Each [`ArenaError`] is one line that names a configuration key, its value and the cure.
    pub fn open(options: &SegmentOptions) -> Result<Self, ArenaError> {
        let directory = Directory::own(options)?;
        let opened = match Opened::in_directory(&directory, options) {
            Ok(opened) => opened,
            Err(error) => {
                directory.abandon();
                return Err(error);
            }
        };
        let Opened { segment, reopened, fence, mapping, population } = opened;
        Ok(Self { mapping, population, fence, segment, reopened, directory })
    }

    /// The length of the segment. After a [`Shortfall`] less of it is usable.
    pub fn capacity(&self) -> ByteSize {
        self.segment.capacity
    }

    /// Whether the segment was there already, with the bytes of an earlier daemon.
    pub fn reopened(&self) -> bool {
        self.reopened
    }

    /// The size that somebody had cut the segment to before it was reopened. What was beyond it is
    /// lost: zeros have its place.
    pub fn was_shrunk_to(&self) -> Option<ByteSize> {
        self.segment.shrunk_to
    }

    /// Whether the segment still has its length. Whoever touches what was cut off is killed by
    /// `SIGBUS`.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn is_whole(&self) -> io::Result<bool> {
        Ok(self.segment.file.metadata()?.len() >= self.segment.capacity.bytes())
    }

    /// Which file the segment is.
    pub fn identity(&self) -> Identity {
        self.segment.identity
    }

    /// An open file of its own to be passed to a client, who can write to the arena with it only
    /// if it is `writable`.
    ///
    /// # Errors
    ///
    /// What the kernel says, for example that `/proc` is not mounted.
    pub fn share(&self, writable: bool) -> io::Result<OwnedFd> {
        let access = if writable { Access::ReadWrite } else { Access::Read };
        reopen(self.segment.file.as_fd(), access)
    }

    /// Until when each region may still be leased.
    pub fn lease_fence(&self) -> &LeaseFence {
        &self.fence
    }

    /// What an earlier daemon recorded of its objects.
    ///
    /// # Errors
    ///
    /// What the kernel says when the file is there and cannot be read. A file that is of another
    /// version, of another arena or damaged is no error: see [`StoredManifest::origin`].
    pub fn stored_manifest(&self) -> Result<StoredManifest, ArenaError> {
        if !self.reopened {
            return Ok(StoredManifest::nothing(ManifestOrigin::Created));
        }
        let path = self.directory.private_path().join(manifest::FILE);
        manifest::find(&self.directory, &self.manifest_header()?)
            .map_err(ArenaError::io("read the manifest of the objects", path))
    }

    /// An empty manifest for a catalog that may use `memory_max` of its own. A restarted daemon goes
    /// on finding the earlier one until [`Self::publish_manifest`], unless there is no memory for
    /// both: then the earlier one makes way, and has to be [read](Self::recorded) before.
    ///
    /// # Errors
    ///
    /// [`ArenaError::NoRoomForManifest`] when there is no memory for it, and what the kernel says.
    pub fn new_manifest(&self, memory_max: ByteSize) -> Result<Manifest, ArenaError> {
        match self.build_manifest(memory_max) {
            Err(ArenaError::NoRoomForManifest { .. }) => {
                self.directory.discard(manifest::FILE)?;
                self.build_manifest(memory_max)
            }
            built => built,
        }
    }

    fn build_manifest(&self, memory_max: ByteSize) -> Result<Manifest, ArenaError> {
        self.directory.discard(manifest::UNDER_CONSTRUCTION)?;
        let path = self.directory.private_path().join(manifest::UNDER_CONSTRUCTION);
        let built = manifest::build(&self.directory, &self.manifest_header()?, memory_max);
        built.map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull => {
                let public = self.directory.public_path();
                let dir = public.parent().unwrap_or(public).to_owned();
                ArenaError::NoRoomForManifest { dir, source }
            }
            _ => ArenaError::io("make the manifest of the objects", path)(source),
        })
    }

    /// Lets a restarted daemon find the new manifest from now on, instead of the earlier one.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn publish_manifest(&self) -> Result<(), ArenaError> {
        let path = self.directory.private_path().join(manifest::FILE);
        manifest::publish(&self.directory)
            .map_err(ArenaError::io("give the manifest of the objects its name", path))
    }

    fn manifest_header(&self) -> Result<manifest::Header, ArenaError> {
        let boot = boot_id();
        let boot = boot.map_err(ArenaError::io("read the kernel's boot id", "/proc"))?;
        let capacity = self.segment.capacity;
        Ok(manifest::Header { capacity, inode: self.segment.identity.inode, boot })
    }

    /// Reserves the next step of memory, about a tenth of a second of work. When all steps are done, the arena
    /// cannot run out of memory any more.
    ///
    /// # Errors
    ///
    /// [`Shortfall`] when there is none left. What was got stays, and later calls of this and of
    /// [`Self::populate_next`] take it for the whole.
    pub fn reserve_next(&self) -> Result<Progress, Shortfall> {
        self.population.reserve(&self.segment.file, &self.mapping)
    }

    /// Faults in the next step of memory, likewise short, and reserves it first if need be.
    /// Bytes that are there already stay as they are.
    ///
    /// # Errors
    ///
    /// [`Shortfall`] as for [`Self::reserve_next`].
    pub fn populate_next(&self) -> Result<Progress, Shortfall> {
        self.population.populate(&self.segment.file, &self.mapping)
    }

    /// Bytes from the start of the arena that have their memory: extents are handed out only from
    /// these. In a reopened arena that is what the earlier daemon had, from the start on.
    pub fn populated(&self) -> ByteSize {
        self.population.populated()
    }

    /// Whether the kernel gave huge pages for what is populated so far. Walks the process's page
    /// tables: for one log line, not for a hot path.
    pub fn huge_pages_granted(&self) -> bool {
        huge::granted(&self.mapping)
    }

    /// Puts back whichever of the arena's two names is missing. To be called about once a second.
    ///
    /// # Errors
    ///
    /// [`ArenaError::Unlinked`] when both are gone: attached clients go on, no other can attach.
    pub fn keep_linked(&self) -> Result<LinkStatus, ArenaError> {
        link::keep(&self.directory, self.segment.identity)
    }

    /// Copies bytes to their place, and takes them into the digest on the way.
    ///
    /// # Panics
    ///
    /// If a byte would land outside the populated part: extents come only from there.
    pub fn write(&self, at: Offset, bytes: &[u8], digest: &mut Digest) {
        let extent = Extent::new(at, ByteSize::new(bytes.len() as u64));
        let populated = self.populated();
        let inside = extent.end().is_some_and(|end| end.bytes() <= populated.bytes());
        assert!(inside, "a write outside the populated arena, {extent:?} populated=`{populated}`");
        let target = self.locate(extent);
        // SAFETY: the source is a slice; the target has as many mapped, populated bytes, which no
        // slice of this process ever covers.
        unsafe { copy::copy_to_shared(bytes.as_ptr(), target, bytes.len(), digest) };
    }

    /// Copies an extent out. Its bytes are hostile: compare their checksum.
    ///
    /// # Panics
    ///
    /// If the extent is outside the arena or `into` has another length.
    pub fn read(&self, extent: Extent, into: &mut [u8]) {
        assert_eq!(extent.len.bytes(), into.len() as u64, "an extent and a buffer of its length");
        let source = self.locate(extent);
        // SAFETY: the source has as many mapped bytes as `into`, which is private memory.
        unsafe { copy::copy(source, into.as_mut_ptr(), into.len()) };
    }

    /// Takes an extent's bytes into the digest without keeping them.
    ///
    /// # Panics
    ///
    /// If the extent is outside the arena.
    pub fn digest(&self, extent: Extent, digest: &mut Digest) {
        let source = self.locate(extent);
        // SAFETY: the source has as many mapped bytes as the extent, which fits an address.
        unsafe { copy::digest_shared(source, extent.len.bytes() as usize, digest) };
    }

    fn locate(&self, extent: Extent) -> *mut u8 {
        self.mapping.locate(extent).unwrap_or_else(|| {
            panic!("an extent outside the arena, {extent:?} capacity=`{}`", self.capacity())
        })
    }
}

/// A segment and what belongs to it, before its directory becomes part of it.
struct Opened {
    segment: Segment,
    reopened: bool,
    fence: LeaseFence,
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
                options.limits.check(&options.dir, capacity)?;
                segment::build(directory, options, capacity)?
            }
        };
        let fence = LeaseFence::open(directory, segment.capacity, reopened, options.lease_ttl_max)?;
        let mapping = map(&segment, options)?;
        let heeds_advice = options.huge_pages && huge::on_advice(segment.identity);
        let population = Population::new(&segment.file, segment.capacity, heeds_advice)
            .map_err(ArenaError::io("look for holes in the arena", directory.public_path()))?;
        if !reopened {
            segment::publish(directory, &segment)?;
        }
        Ok(Self { segment, reopened, fence, mapping, population })
    }
}

fn map(segment: &Segment, options: &SegmentOptions) -> Result<Mapping, ArenaError> {
    let path = options.dir.join(options.name.as_str());
    let len = usize::try_from(segment.capacity.bytes()).expect("addresses have 64 bits");
    let mapping = Mapping::new(segment.file.as_fd(), len, Access::ReadWrite)
        .map_err(ArenaError::io("map the arena", path))?;
    if options.huge_pages {
        let whole = Extent::new(Offset::new(0), segment.capacity);
        // A kernel without huge pages refuses the advice; `huge_pages_granted` tells the outcome.
        let _unheeded = mapping.advise(whole, Advice::LinuxHugepage);
    }
    Ok(mapping)
}
