//! Reads and writes of a file that are under way at the same time, with io_uring.
//!
//! The ring owns every buffer from its submission to its completion, and it does not end before the
//! kernel has given all of them back. So no call here can leave the kernel with memory that
//! is used for something else.

use std::{
    fmt,
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
};

use io_uring::{IoUring, Probe, cqueue, opcode, squeue, types};
use rustix::event::{EventfdFlags, eventfd};

use crate::{IoBuffer, MappedExtent, io_buffer::Region};

/// Name of the completion that ends a wait. Transfers are named by their slots, which are fewer.
const WOKEN: u64 = u64::MAX;

/// Transfer that ended.
#[derive(Debug)]
pub struct RingCompletion<T> {
    /// Token that it was submitted with.
    pub token: T,
    /// Its buffer.
    pub buffer: IoBuffer,
    /// Its shared memory.
    pub shared: Vec<MappedExtent>,
    /// Bytes that were moved. They may be fewer than were asked for.
    pub result: io::Result<usize>,
}

/// Reads and writes of one file that are under way.
pub struct Ring<T> {
    ring: IoUring,
    file: Arc<File>,
    waker: Arc<RingWaker>,
    /// Transfers under way, by the names of their completions.
    slots: Vec<Option<Slot<T>>>,
    in_flight: usize,
    /// Memory that is registered with the kernel.
    registered: Option<Arc<Region>>,
    not_registered: Option<io::Error>,
}

/// Transfer under way, with the memory that the kernel uses.
struct Slot<T> {
    token: T,
    buffer: IoBuffer,
    shared: Vec<MappedExtent>,
    /// Addresses of a transfer of several parts. Only the kernel reads them.
    _parts: Parts,
}

/// Addresses for the kernel, which reads them when the transfer is submitted or later.
struct Parts(Box<[libc::iovec]>);

// SAFETY: the addresses are not tied to a thread, and nothing here follows them.
unsafe impl Send for Parts {}

/// Handle that ends a wait of a [`Ring`].
#[derive(Debug)]
pub struct RingWaker(OwnedFd);

impl<T> Ring<T> {
    /// A ring for as many transfers as there are buffers, whose memory is registered with the kernel
    /// if it allows that. The buffers were allocated together.
    ///
    /// # Errors
    ///
    /// The kernel's error: io_uring is forbidden, or lacks what this needs.
    pub fn new(file: &Arc<File>, buffers: &[IoBuffer]) -> io::Result<Self> {
        // One entry more than transfers, to be woken.
        let entries = u32::try_from(buffers.len() + 1).map_err(|_| io::ErrorKind::InvalidInput)?;
        let ring = IoUring::new(entries)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let needed = [opcode::Read::CODE, opcode::Write::CODE, opcode::PollAdd::CODE];
        if !needed.iter().all(|code| probe.is_supported(*code)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let mut ring = Self {
            ring,
            file: Arc::clone(file),
            waker: Arc::new(RingWaker(eventfd(0, flags)?)),
            slots: buffers.iter().map(|_| None).collect(),
            in_flight: 0,
            registered: None,
            not_registered: None,
        };
        if let Some(buffer) = buffers.first() {
            ring.register(buffer.region());
        }
        ring.watch_waker()?;
        Ok(ring)
    }

    /// Registers the memory of the buffers. Without it transfers work as well, with more CPU.
    fn register(&mut self, region: &Arc<Region>) {
        let memory = libc::iovec { iov_base: region.start().cast(), iov_len: region.len() };
        // SAFETY: the region stays mapped until the registration has ended: this ring keeps it and
        // ends the registration first.
        match unsafe { self.ring.submitter().register_buffers(&[memory]) } {
            Ok(()) => self.registered = Some(Arc::clone(region)),
            Err(error) => self.not_registered = Some(error),
        }
    }

    /// Why the memory is not registered, if it is not.
    pub fn not_registered(&self) -> Option<&io::Error> {
        self.not_registered.as_ref()
    }

    /// Handle that ends a wait, the current or the next one.
    pub fn waker(&self) -> Arc<RingWaker> {
        Arc::clone(&self.waker)
    }

    /// Starts to read the first `len` bytes of the buffer from an offset in the file.
    ///
    /// # Panics
    ///
    /// If the buffer is shorter than `len`, or more transfers are under way than there are buffers.
    pub fn read(&mut self, token: T, offset: u64, buffer: IoBuffer, len: usize) {
        self.start(token, buffer, len, |file, address, len, fixed| match fixed {
            true => opcode::ReadFixed::new(file, address, len, 0).offset(offset).build(),
            false => opcode::Read::new(file, address, len).offset(offset).build(),
        })
    }

    /// Starts to write the first `len` bytes of the buffer to an offset in the file.
    ///
    /// # Panics
    ///
    /// As [`Self::read`] does.
    pub fn write(&mut self, token: T, offset: u64, buffer: IoBuffer, len: usize) {
        self.start(token, buffer, len, |file, address, len, fixed| match fixed {
            true => opcode::WriteFixed::new(file, address, len, 0).offset(offset).build(),
            false => opcode::Write::new(file, address, len).offset(offset).build(),
        })
    }

    /// Starts to read from an offset in the file into the first `before` bytes of the buffer, then into
    /// the shared memory, then into the next `after` bytes of the buffer. The shared memory is mapped for
    /// writing.
    ///
    /// # Panics
    ///
    /// As [`Self::read`] does.
    pub fn read_scattered(
        &mut self,
        token: T,
        offset: u64,
        buffer: IoBuffer,
        (before, after): (usize, usize),
        shared: Vec<MappedExtent>,
    ) {
        self.start_parts(token, buffer, (before, after), shared, |file, address, count| {
            opcode::Readv::new(file, address, count).offset(offset).build()
        });
    }

    /// Starts to write the same parts to an offset in the file.
    ///
    /// # Panics
    ///
    /// As [`Self::read`] does.
    pub fn write_gathered(
        &mut self,
        token: T,
        offset: u64,
        buffer: IoBuffer,
        (before, after): (usize, usize),
        shared: Vec<MappedExtent>,
    ) {
        self.start_parts(token, buffer, (before, after), shared, |file, address, count| {
            opcode::Writev::new(file, address, count).offset(offset).build()
        });
    }

    fn start_parts(
        &mut self,
        token: T,
        buffer: IoBuffer,
        around: (usize, usize),
        shared: Vec<MappedExtent>,
        entry: impl FnOnce(types::Fd, *const libc::iovec, u32) -> squeue::Entry,
    ) {
        let parts = parts(&buffer, around, &shared);
        let file = types::Fd(self.file.as_raw_fd());
        let entry = entry(file, parts.0.as_ptr(), parts.0.len() as u32);
        self.push(entry, Slot { token, buffer, shared, _parts: parts });
    }

    fn start(
        &mut self,
        token: T,
        buffer: IoBuffer,
        len: usize,
        entry: impl FnOnce(types::Fd, *mut u8, u32, bool) -> squeue::Entry,
    ) {
        assert!(len <= buffer.len(), "the buffer is shorter than what is to be moved");
        let len = u32::try_from(len).expect("a buffer is shorter than 4 GiB");
        let of_region = |region: &Arc<Region>| Arc::ptr_eq(region, buffer.region());
        let is_fixed = self.registered.as_ref().is_some_and(of_region);
        let file = types::Fd(self.file.as_raw_fd());
        let entry = entry(file, buffer.address(), len, is_fixed);
        self.push(entry, Slot { token, buffer, shared: Vec::new(), _parts: Parts(Box::default()) });
    }

    /// Hands an entry to the kernel, whose memory is all in the slot.
    fn push(&mut self, entry: squeue::Entry, slot: Slot<T>) {
        let number = self.slots.iter().position(Option::is_none).expect("one transfer a buffer");
        let entry = entry.user_data(number as u64);
        // SAFETY: the file is open as long as this ring is. The slot below has the buffer, the mapping
        // of the shared memory and the list of addresses until the completion. The buffer is not
        // accessed until then; to the shared memory no reference exists.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.expect("there is an entry for each buffer, and one to be woken");
        self.slots[number] = Some(slot);
        self.in_flight += 1;
        // An entry that the kernel does not take now goes with the next wait, which has the error.
        let _ = self.ring.submit();
    }

    /// Waits until a transfer has ended or the waker is used, and appends all that have ended.
    ///
    /// # Errors
    ///
    /// The kernel's error.
    pub fn wait(&mut self, completed: &mut Vec<RingCompletion<T>>) -> io::Result<()> {
        let before = completed.len();
        let mut is_woken = false;
        while !is_woken && completed.len() == before {
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if is_temporary(&error) => {}
                Err(error) => return Err(error),
            }
            is_woken = self.reap(completed);
        }
        if is_woken {
            self.waker.reset();
            self.watch_waker()?;
        }
        Ok(())
    }

    /// Takes what has ended. True if the waker was used.
    fn reap(&mut self, completed: &mut Vec<RingCompletion<T>>) -> bool {
        let mut is_woken = false;
        for entry in self.ring.completion() {
            if entry.user_data() == WOKEN {
                is_woken = true;
                continue;
            }
            let slot = &mut self.slots[entry.user_data() as usize];
            let slot = slot.take().expect("a transfer is completed once");
            self.in_flight -= 1;
            let Slot { token, buffer, shared, .. } = slot;
            completed.push(RingCompletion { token, buffer, shared, result: result_of(&entry) });
        }
        is_woken
    }

    /// Has the use of the waker complete an entry, once.
    fn watch_waker(&mut self) -> io::Result<()> {
        let waker = types::Fd(self.waker.0.as_raw_fd());
        let entry = opcode::PollAdd::new(waker, libc::POLLIN as u32).build().user_data(WOKEN);
        // SAFETY: the entry has no memory, and the descriptor is open as long as this ring is.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.expect("there is an entry for each buffer, and one to be woken");
        self.ring.submit()?;
        Ok(())
    }
}

/// Addresses of a transfer's parts in the order of the file.
fn parts(buffer: &IoBuffer, (before, after): (usize, usize), shared: &[MappedExtent]) -> Parts {
    assert!(before + after <= buffer.len(), "the buffer is shorter than its parts");
    let own = |offset: usize, len| libc::iovec {
        iov_base: buffer.address().wrapping_add(offset).cast(),
        iov_len: len,
    };
    let of_arena = |extent: &MappedExtent| {
        let (address, len) = extent.raw_parts();
        libc::iovec { iov_base: address.cast_mut().cast(), iov_len: len }
    };
    let all = [own(0, before)].into_iter().chain(shared.iter().map(of_arena));
    Parts(all.chain([own(before, after)]).filter(|part| part.iov_len > 0).collect())
}

/// The kernel's own answer, as a length or an error.
fn result_of(entry: &cqueue::Entry) -> io::Result<usize> {
    let result = entry.result();
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// Errors after which the call is to be made again.
fn is_temporary(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let mut completed = Vec::new();
        while self.in_flight > 0 {
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if is_temporary(&error) => {}
                // The kernel may use the buffers for ever, so they are never given back.
                Err(_) => return self.slots.drain(..).for_each(std::mem::forget),
            }
            self.reap(&mut completed);
            completed.clear();
        }
        if self.registered.is_some() {
            // At once, and not when the kernel has closed the ring: the next one may need the room.
            let _ = self.ring.submitter().unregister_buffers();
        }
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl RingWaker {
    /// Ends the current wait, or the next one.
    pub fn wake(&self) {
        // It fails only if the counter is full, and then the ring is woken already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    fn reset(&self) {
        // It fails only if another read came first, and there is none.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::os::{fd::AsFd, unix::fs::FileExt};

    use kvlease_types::{ByteSize, Extent, Offset};

    use super::*;
    use crate::{Access, Digest, Mapping};

    /// A ring over a file of this length; the kernel of a test machine has io_uring.
    fn ring(len: u64, buffers: &[IoBuffer]) -> (Ring<u32>, Arc<File>) {
        let file = Arc::new(tempfile::tempfile().expect("a directory for temporary files"));
        file.set_len(len).expect("room for a short file");
        (Ring::new(&file, buffers).expect("the kernel has io_uring"), file)
    }

    #[test]
    fn transfers_move_the_bytes_and_give_their_buffers_back() {
        let buffers = IoBuffer::allocate(4, 4096).unwrap();
        let (mut ring, file) = ring(4 * 4096, &buffers);
        for (number, mut buffer) in (0..).zip(buffers) {
            buffer.fill(number as u8 + 1);
            ring.write(number, u64::from(number) * 4096, buffer, 4096);
        }
        let mut completed = Vec::new();
        while completed.len() < 4 {
            ring.wait(&mut completed).unwrap();
        }
        let mut bytes = vec![0; 4 * 4096];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!((0..4).all(|number| bytes[number * 4096..][..4096] == [number as u8 + 1; 4096]));
        let RingCompletion { token, buffer, result, .. } = completed.remove(0);
        assert_eq!(result.unwrap(), 4096);
        ring.read(token, 3 * 4096, buffer, 4096);
        completed.clear();
        ring.wait(&mut completed).unwrap();
        assert_eq!(completed[0].token, token);
        assert_eq!(completed[0].buffer[..], [4; 4096]);
        // A read at the end of the file is short.
        let buffer = completed.remove(0).buffer;
        ring.read(9, 4 * 4096, buffer, 4096);
        ring.wait(&mut completed).unwrap();
        assert_eq!(completed[0].result.as_ref().unwrap(), &0);
    }

    #[test]
    fn parts_of_private_and_shared_memory_move_in_the_order_of_the_file() {
        let (mut ring, file) = ring(1 << 20, &IoBuffer::allocate(2, 8192).unwrap());
        let memory = tempfile::tempfile_in("/dev/shm").unwrap();
        memory.set_len(1 << 20).unwrap();
        let mapping = Arc::new(Mapping::new(memory.as_fd(), 1 << 20, Access::ReadWrite).unwrap());
        let extent = |at, len| {
            let extent = Extent::new(Offset::new(at), ByteSize::new(len));
            MappedExtent::new(&mapping, extent).unwrap()
        };
        let bytes: Vec<u8> = (0..6 * 4096_u32).map(|at| (at * 31 % 251) as u8).collect();
        file.write_all_at(&bytes, 4096).unwrap();
        // One block, two extents that are not in the order of memory, one block.
        let shared = || vec![extent(40_960, 12_288), extent(0, 4096)];
        let buffer = IoBuffer::new(8192).unwrap();
        ring.read_scattered(1, 4096, buffer, (4096, 4096), shared());
        let mut completed = Vec::new();
        ring.wait(&mut completed).unwrap();
        let done = completed.pop().unwrap();
        assert_eq!((done.token, done.result.unwrap()), (1, bytes.len()));
        assert_eq!(done.buffer[..4096], bytes[..4096]);
        assert_eq!(done.buffer[4096..], bytes[5 * 4096..]);
        let mut digest = Digest::new();
        done.shared.iter().for_each(|extent| extent.digest(&mut digest));
        assert_eq!(digest.finish(), Digest::of(&bytes[4096..5 * 4096]));
        ring.write_gathered(2, 65_536, done.buffer, (4096, 4096), shared());
        ring.wait(&mut completed).unwrap();
        assert_eq!(completed[0].result.as_ref().unwrap(), &bytes.len());
        let mut written = vec![0; bytes.len()];
        file.read_exact_at(&mut written, 65_536).unwrap();
        assert!(written == bytes);
    }

    #[test]
    fn a_waker_ends_the_wait_it_was_used_before_or_in() {
        let buffers = IoBuffer::allocate(1, 4096).unwrap();
        let (mut ring, _) = ring(4096, &buffers);
        let waker = ring.waker();
        let mut completed = Vec::new();
        for _ in 0..3 {
            waker.wake();
            ring.wait(&mut completed).unwrap();
            let waker = Arc::clone(&waker);
            let thread = std::thread::spawn(move || waker.wake());
            ring.wait(&mut completed).unwrap();
            thread.join().unwrap();
        }
        assert!(completed.is_empty());
    }

    #[test]
    fn a_ring_that_is_dropped_waits_for_its_transfers() {
        let buffers = IoBuffer::allocate(2, 1 << 20).unwrap();
        let (mut ring, file) = ring(2 << 20, &buffers);
        for (number, mut buffer) in (0..).zip(buffers) {
            buffer.fill(7);
            ring.write(number, u64::from(number) << 20, buffer, 1 << 20);
        }
        drop(ring);
        let mut bytes = vec![0; 2 << 20];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7));
    }
}
