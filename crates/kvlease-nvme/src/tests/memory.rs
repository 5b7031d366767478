//! Device in memory.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use kvlease_sys::IoBuffer;
use kvlease_testing::Draws;

use crate::{
    device::{Completed, Device, Direction, Queue, Transfer, Wake},
    format::BLOCK,
    geometry::Geometry,
};

/// Event on a device, in order.
#[derive(Clone, Debug)]
pub(crate) enum Event<T> {
    Write {
        offset: u64,
        bytes: Vec<u8>,
    },
    Sync,
    /// Remark of the test.
    Note(T),
}

/// Time after which a queue looks whether the device hangs still.
const POLL: Duration = Duration::from_millis(1);

/// Calls that fail, or hang.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Failing {
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    pub(crate) syncs: bool,
    /// Transfers do not end.
    pub(crate) hangs: bool,
}

/// Device in memory that records what happens to it.
pub(crate) struct MemoryDevice {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    bytes: Vec<u8>,
    events: Vec<Event<usize>>,
    failing: Failing,
}

impl std::fmt::Debug for MemoryDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryDevice")
    }
}

impl MemoryDevice {
    pub(crate) fn new(geometry: &Geometry) -> Arc<Self> {
        Self::with(vec![0; geometry.file_len() as usize])
    }

    pub(crate) fn with(bytes: Vec<u8>) -> Arc<Self> {
        let inner = Inner { bytes, events: Vec::new(), failing: Failing::default() };
        Arc::new(Self { inner: Arc::new(Mutex::new(inner)) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no thread panics with the device")
    }

    /// Adds a remark to the events.
    pub(crate) fn note(&self, note: usize) {
        self.inner().events.push(Event::Note(note));
    }

    pub(crate) fn events(&self) -> Vec<Event<usize>> {
        self.inner().events.clone()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.inner().bytes.clone()
    }

    pub(crate) fn fail(&self, failing: Failing) {
        self.inner().failing = failing;
    }

    fn answer(is_failing: bool) -> io::Result<()> {
        if is_failing {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        Ok(())
    }
}

/// Remains, after a power loss, of writes that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    All,
    Nothing,
    /// Any of their blocks.
    SomeBlocks,
}

/// Device whose contents change as events say.
pub(crate) struct Replay {
    synced: Vec<u8>,
    unsynced: Vec<(u64, Vec<u8>)>,
}

impl Replay {
    pub(crate) fn new(geometry: &Geometry) -> Self {
        Self::of(vec![0; geometry.file_len() as usize])
    }

    /// Replay on a device with these contents.
    pub(crate) fn of(synced: Vec<u8>) -> Self {
        Self { synced, unsynced: Vec::new() }
    }

    pub(crate) fn apply(&mut self, event: &Event<usize>) {
        match event {
            Event::Write { offset, bytes } => self.unsynced.push((*offset, bytes.clone())),
            Event::Sync => {
                for (offset, bytes) in self.unsynced.drain(..) {
                    write(&mut self.synced, offset, &bytes);
                }
            }
            Event::Note(_) => {}
        }
    }

    /// Contents after a loss of power now.
    pub(crate) fn image(&self, left: Left, draws: &mut Draws) -> Vec<u8> {
        let mut image = self.synced.clone();
        for (offset, bytes) in &self.unsynced {
            for (at, block) in bytes.chunks(BLOCK).enumerate() {
                let is_left = match left {
                    Left::All => true,
                    Left::Nothing => false,
                    Left::SomeBlocks => draws.below(2) == 0,
                };
                if is_left {
                    write(&mut image, offset + (at * BLOCK) as u64, block);
                }
            }
        }
        image
    }
}

fn write(image: &mut [u8], offset: u64, bytes: &[u8]) {
    image[offset as usize..][..bytes.len()].copy_from_slice(bytes);
}

impl Device for MemoryDevice {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let inner = self.inner();
        Self::answer(inner.failing.reads)?;
        into.copy_from_slice(&inner.bytes[offset as usize..][..into.len()]);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.inner();
        Self::answer(inner.failing.writes)?;
        assert!(offset.is_multiple_of(BLOCK as u64) && bytes.len().is_multiple_of(BLOCK));
        write(&mut inner.bytes, offset, bytes);
        inner.events.push(Event::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.inner();
        Self::answer(inner.failing.syncs)?;
        inner.events.push(Event::Sync);
        Ok(())
    }

    fn queue(&self, _: &[IoBuffer]) -> io::Result<Box<dyn Queue>> {
        let device = Arc::clone(&self.inner);
        Ok(Box::new(MemoryQueue {
            device: Self { inner: device },
            bell: Arc::default(),
            completed: Vec::new(),
        }))
    }
}

/// Queue whose transfers are made when they are submitted.
struct MemoryQueue {
    device: MemoryDevice,
    bell: Arc<Bell>,
    completed: Vec<Completed>,
}

#[derive(Default)]
struct Bell {
    is_rung: Mutex<bool>,
    rung: Condvar,
}

impl Queue for MemoryQueue {
    fn waker(&self) -> Arc<dyn Wake> {
        Arc::<Bell>::clone(&self.bell)
    }

    fn submit(&mut self, transfer: Transfer) {
        let Transfer { token, direction, offset, mut buffer, len, shared, .. } = transfer;
        let result = match direction {
            Direction::Read => self.device.read_at(offset, &mut buffer[..len]),
            Direction::Write => self.device.write_at(offset, &buffer[..len]),
        };
        self.completed.push(Completed { token, buffer, shared, result });
    }

    fn wait(&mut self, completed: &mut Vec<Completed>) {
        loop {
            let hangs = self.device.inner().failing.hangs;
            if !hangs && !self.completed.is_empty() {
                break;
            }
            let is_rung = self.bell.is_rung.lock().expect("no thread panics with it");
            let waited = self.bell.rung.wait_timeout_while(is_rung, POLL, |is_rung| !*is_rung);
            let (mut is_rung, _) = waited.expect("no thread panics with it");
            if std::mem::take(&mut *is_rung) {
                if hangs {
                    return;
                }
                break;
            }
        }
        // The last one first: pieces come back in any order.
        completed.extend(self.completed.drain(..).rev());
    }
}

impl Wake for Bell {
    fn wake(&self) {
        *self.is_rung.lock().expect("no thread panics with it") = true;
        self.rung.notify_one();
    }
}
