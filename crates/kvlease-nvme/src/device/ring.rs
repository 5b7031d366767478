//! Queue whose transfers are made by io_uring.

use std::{fs::File, io, sync::Arc, thread, time::Duration};

use kvlease_sys::{IoBuffer, Ring, RingCompletion, RingWaker};

use super::{Completed, Direction, Queue, Token, Transfer, Wake};

/// Time after which a wait that the kernel refused is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Queue whose transfers are made by io_uring.
pub(super) struct RingQueue {
    ring: Ring<(Token, usize)>,
    completions: Vec<RingCompletion<(Token, usize)>>,
    takes_shared: bool,
}

impl RingQueue {
    /// A queue over a file, which takes shared memory where the kernel does not copy it.
    pub(super) fn new(
        file: &Arc<File>,
        buffers: &[IoBuffer],
        takes_shared: bool,
    ) -> io::Result<Self> {
        let ring = Ring::new(file, buffers)?;
        Ok(Self { ring, completions: Vec::with_capacity(buffers.len()), takes_shared })
    }

    /// Why the buffers are not registered, if they are not.
    pub(super) fn not_registered(&self) -> Option<&io::Error> {
        self.ring.not_registered()
    }
}

impl Queue for RingQueue {
    fn waker(&self) -> Arc<dyn Wake> {
        self.ring.waker()
    }

    fn takes_shared(&self) -> bool {
        self.takes_shared
    }

    fn submit(&mut self, transfer: Transfer) {
        let Transfer { token, direction, offset, buffer, len, split, shared } = transfer;
        let (ring, token, own) = (&mut self.ring, (token, len), (split.before, split.after));
        match direction {
            Direction::Read if shared.is_empty() => ring.read(token, offset, buffer, len),
            Direction::Write if shared.is_empty() => ring.write(token, offset, buffer, len),
            Direction::Read => ring.read_scattered(token, offset, buffer, own, shared),
            Direction::Write => ring.write_gathered(token, offset, buffer, own, shared),
        }
    }

    fn wait(&mut self, completed: &mut Vec<Completed>) {
        if let Err(error) = self.ring.wait(&mut self.completions) {
            tracing::error!("io_uring refuses to wait for the NVMe tier's transfers: {error}");
            thread::sleep(RETRY);
        }
        let whole = |RingCompletion { token: (token, len), buffer, shared, result }| {
            let result = result.and_then(|moved| if moved == len { Ok(()) } else { short(moved) });
            Completed { token, buffer, shared, result }
        };
        completed.extend(self.completions.drain(..).map(whole));
    }
}

/// Error of a transfer that the kernel ended early: the file was truncated, or its file system is full.
fn short(moved: usize) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("only {moved} bytes were moved")))
}

impl Wake for RingWaker {
    fn wake(&self) {
        Self::wake(self);
    }
}
