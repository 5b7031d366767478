//! The thread that writes the capture.

use std::{
    io,
    sync::mpsc::{Receiver, TryRecvError},
    thread,
    time::Duration,
};

use super::{line::Lines, notes::Capture, queue::Taken};
use crate::{clock::now, line_files::LineFiles, log_limit::LogLimit, shared::Shared};

/// Time between two looks at the queue, unless it fills sooner.
const TURN: Duration = Duration::from_millis(100);

/// Bytes of lines that are written at once.
const WRITE_LEN: usize = 256 << 10;

/// Time between two lines of the log on a capture that cannot be written.
const FAULTS_LOG_PAUSE: Duration = Duration::from_secs(60);

/// Writes the capture until it is stopped, which must be followed by [`Capture::wake`].
pub(crate) fn write_capture(shared: &Shared, stopped: &Receiver<()>) {
    let Some(capture) = &shared.capture else { return };
    let Some(files) = capture.take_files() else { return };
    capture.queue.attach_writer();
    let mut writer = Writer::new(capture, files);
    let mut taken = Taken::default();
    loop {
        let is_last = stopped.try_recv() != Err(TryRecvError::Empty);
        writer.turn(&mut taken, is_last);
        if is_last {
            return;
        }
        thread::park_timeout(TURN);
    }
}

/// Writer of the files.
struct Writer<'a> {
    capture: &'a Capture,
    files: LineFiles,
    lines: Lines,
    /// Number of the next file.
    part: u64,
    /// Lines that were not written yet, and how many calls they are.
    buffer: Vec<u8>,
    calls: u64,
    /// Missing calls that these lines tell of.
    told: u64,
    /// One line.
    line: Vec<u8>,
    faults: LogLimit,
}

impl<'a> Writer<'a> {
    fn new(capture: &'a Capture, files: LineFiles) -> Self {
        Self {
            lines: Lines::new(capture.config.secret),
            part: 1,
            buffer: Vec::with_capacity(WRITE_LEN),
            calls: 0,
            told: 0,
            line: Vec::new(),
            faults: LogLimit::new(FAULTS_LOG_PAUSE),
            capture,
            files,
        }
    }

    /// Writes what is in the queue.
    fn turn(&mut self, taken: &mut Taken, is_last: bool) {
        let capture = self.capture;
        capture.queue.take(taken, is_last, |record| {
            let mut line = std::mem::take(&mut self.line);
            line.clear();
            self.lines.call(&mut line, record);
            self.append(&line, 1);
            self.line = line;
        });
        let dropped = capture.take_dropped();
        if dropped > 0 {
            let mut line = Vec::new();
            Lines::dropped(&mut line, capture.now(), dropped);
            self.append(&line, 0);
            self.told += dropped;
        }
        self.flush();
    }

    fn append(&mut self, line: &[u8], calls: u64) {
        if self.buffer.len() + line.len() > WRITE_LEN
            || self.files.is_full(self.buffer.len() + line.len())
        {
            self.flush();
        }
        self.buffer.extend_from_slice(line);
        self.calls += calls;
    }

    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let written = self.write();
        let (calls, told) = (std::mem::take(&mut self.calls), std::mem::take(&mut self.told));
        match written {
            Ok(()) => {
                self.capture.counters.capture_calls.add(calls);
                self.capture.counters.capture_written.add(self.buffer.len() as u64);
            }
            Err(error) => {
                self.capture.lost(calls);
                self.capture.tell_again(told);
                if let Some(calls) = self.faults.count(calls, now()) {
                    let path = self.capture.config.path.display();
                    tracing::error!(
                        calls,
                        "the capture cannot be written, and calls are missing in it: free space or \
                         repair the directory, capture.path=`{path}`, error=`{error}`"
                    );
                }
            }
        }
        self.buffer.clear();
    }

    fn write(&mut self) -> io::Result<()> {
        if self.files.is_full(self.buffer.len()) {
            let id = self.capture.config.id;
            self.files.rotate(&self.lines.header(id, self.part, self.capture.wall))?;
            self.part += 1;
        }
        self.files.append(&self.buffer)
    }
}
