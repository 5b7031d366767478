//! Thread that keeps segments ready: it starts the next one, seals full ones, and reclaims the oldest.

mod reclaim;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use kvlease_sys::IoBuffer;

use crate::{
    format::{BLOCK, segment_header},
    pieces::BUFFER_LEN,
    shared::Shared,
    state::State,
    table,
};

/// Time after which a failed write is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How the tier ends, as a number of [`Ending`].
#[derive(Default, Debug)]
pub(crate) struct Stop(AtomicU8);

/// How the tier ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// As it is: the next start scans what was being filled.
    Dropped,
    /// With all segments sealed.
    Sealed,
}

impl Stop {
    const RUNNING: u8 = 0;

    pub(crate) fn set(&self, ending: Ending) {
        self.0.store(ending as u8 + 1, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) != Self::RUNNING
    }

    fn is_sealing(&self) -> bool {
        self.0.load(Ordering::Acquire) == Ending::Sealed as u8 + 1
    }
}

/// Thread that keeps segments ready.
pub(crate) struct Maintenance {
    shared: Arc<Shared>,
    inbox: Receiver<()>,
    stop: Arc<Stop>,
    buffer: IoBuffer,
    /// When the reclaim before ended, or the thread began.
    reclaimed_at: Instant,
}

impl Maintenance {
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbox: Receiver<()>,
        stop: Arc<Stop>,
    ) -> io::Result<Self> {
        let buffer = IoBuffer::new(BUFFER_LEN)?;
        Ok(Self { shared, inbox, stop, buffer, reclaimed_at: Instant::now() })
    }

    pub(crate) fn run(mut self) {
        while !self.stop.is_set() {
            while !self.stop.is_set() && self.step() {}
            if self.stop.is_set() {
                break;
            }
            // A trouble is looked into again without a call.
            match self.inbox.recv_timeout(RETRY) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if self.stop.is_sealing() {
            self.close();
        }
    }

    /// Leaves no segment that the next start would have to scan.
    fn close(&mut self) {
        let unused = self.shared.state().segments.close();
        let Shared { device, geometry, .. } = &*self.shared;
        if let Some(segment) = unused
            && let Err(error) = table::clear(&**device, geometry, segment)
        {
            tracing::warn!(
                "the next start scans a segment of the NVMe tier, segment=`{segment}`: {error}"
            );
        }
        while self.seal() {}
    }

    /// Does what is needed most. False if nothing is, or it failed.
    fn step(&mut self) -> bool {
        let result = self.start_next(false, |_| {}).and_then(|is_started| {
            if is_started || self.seal() { Ok(true) } else { self.reclaim() }
        });
        result.unwrap_or_else(|error| {
            let is_new = self.shared.state().trouble.replace(code(&error)).is_none();
            if is_new {
                tracing::error!("the NVMe tier cannot write: stores fail until it can: {error}");
            }
            self.shared.wake_waiting();
            false
        })
    }

    /// Writes the header of the next segment, if there is no next one. The state is handed to `first`
    /// before any store can use the segment.
    fn start_next(
        &mut self,
        for_reclaim: bool,
        first: impl FnOnce(&mut State),
    ) -> io::Result<bool> {
        let Shared { device, geometry, secret, .. } = &*self.shared;
        let started = self.shared.state().segments.start_next(for_reclaim);
        let Some((segment, sequence)) = started else { return Ok(false) };
        let block = &mut self.buffer[..BLOCK];
        segment_header::encode(secret, segment, sequence, block);
        let written = device.write_at(geometry.offset(segment, 0), block);
        let written = written.and_then(|()| device.sync());
        let mut state = self.shared.state();
        state.segments.end_next(segment, written.is_ok());
        written?;
        if state.trouble.take().is_some() {
            tracing::info!("the NVMe tier can write again");
        }
        first(&mut state);
        drop(state);
        self.shared.wake_waiting();
        Ok(true)
    }

    /// Writes the table of the oldest full segment.
    fn seal(&mut self) -> bool {
        let Shared { device, geometry, secret, .. } = &*self.shared;
        let Some(full) = self.shared.state().segments.start_sealing() else { return false };
        let entries = full.entries.as_deref().unwrap_or_default();
        let log = (full.segment, full.sequence);
        if let Err(error) = table::write(&**device, geometry, secret, log, entries) {
            let segment = full.segment;
            tracing::warn!(
                "a segment of the NVMe tier has no table: the next start scans it, segment=`{segment}`: {error}"
            );
        }
        self.shared.state().segments.end_sealing();
        true
    }
}

/// The error's number, to make others of it.
fn code(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error())
}
