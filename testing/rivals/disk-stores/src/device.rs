//! The device itself: direct transfers of 1 MiB through io_uring, at the depth of kvlease's tier, in a
//! file that is written from front to back again and again, as the log of the tier is.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    thread,
};

use kvlease_nvme::{DEPTH, WORKERS};
use kvlease_sys::{IoBuffer, Ring};
use rustix::fs::{FallocateFlags, OFlags, fallocate};

use crate::{CAPACITY, Outcome, Store, TURN};

const PIECE: usize = 1 << 20;

pub(crate) struct Device {
    file: Arc<File>,
    /// Where the next turn's puts begin.
    next: u64,
    /// Where the last turn's puts began.
    last: u64,
}

impl Device {
    pub(crate) fn open(directory: &Path) -> Outcome<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        options.custom_flags(OFlags::DIRECT.bits().cast_signed());
        let file = options.open(directory.join("raw"))?;
        fallocate(&file, FallocateFlags::empty(), 0, CAPACITY)?;
        Ok(Self { file: Arc::new(file), next: 0, last: 0 })
    }

    /// Moves the bytes of a turn, whatever the objects are.
    fn turn(&self, is_write: bool) {
        let part = TURN / WORKERS;
        let start = usize::try_from(self.last).expect("the file is shorter than memory can be");
        thread::scope(|scope| {
            for worker in 0..WORKERS {
                scope.spawn(move || transfer(&self.file, start + part * worker, part, is_write));
            }
        });
    }
}

fn transfer(file: &Arc<File>, start: usize, len: usize, is_write: bool) {
    let mut free = IoBuffer::allocate(DEPTH, PIECE).expect("there is memory");
    let mut ring = Ring::new(file, &free).expect("the kernel has io_uring");
    let (mut next, mut completed) = (start, Vec::new());
    while next < start + len || free.len() < DEPTH {
        while next < start + len
            && let Some(buffer) = free.pop()
        {
            if is_write {
                ring.write((), next as u64, buffer, PIECE);
            } else {
                ring.read((), next as u64, buffer, PIECE);
            }
            next += PIECE;
        }
        ring.wait(&mut completed).expect("the device answers");
        free.extend(completed.drain(..).map(|done| {
            assert_eq!(done.result.expect("the device moves all bytes"), PIECE);
            done.buffer
        }));
    }
}

impl Store for Device {
    fn greeting(&self) -> String {
        format!("direct transfers of 1 MiB, depth {DEPTH} x {WORKERS}")
    }

    fn put(&mut self, _size: usize, _first: usize, _count: usize) -> Outcome<()> {
        self.last = self.next;
        self.next = (self.next + TURN as u64) % CAPACITY;
        self.turn(true);
        Ok(self.file.sync_data()?)
    }

    fn get(&mut self, _size: usize, _first: usize, _count: usize) -> Outcome<()> {
        self.turn(false);
        Ok(())
    }
}
