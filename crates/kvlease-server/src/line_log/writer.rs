//! The thread that writes a log of lines.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::Receiver,
    },
    time::Duration,
};

use kvlease_engine::{LineFiles, LogLimit};
use kvlease_sys::boot_time;

use super::{
    kind::LineLogKind,
    queue::{Item, unix_ms},
};
use crate::{logging, metrics::LineCounters};

/// Time between two lines of the daemon's log on a log of lines that cannot be written.
const FAULTS_LOG_PAUSE: Duration = Duration::from_secs(60);

/// Place of the lines.
pub(super) enum Sink {
    /// Files of their own.
    Files {
        files: LineFiles,
        /// Start of the daemon, in milliseconds since 1970.
        started: u64,
        /// Number of the next file.
        part: u64,
    },
    /// The daemon's own log.
    OwnLog,
}

/// Writer of the lines.
pub(super) struct Writer {
    kind: &'static LineLogKind,
    sink: Sink,
    dropped: Arc<AtomicU64>,
    counters: LineCounters,
    faults: LogLimit,
}

impl Writer {
    pub(super) fn new(
        kind: &'static LineLogKind,
        sink: Sink,
        dropped: Arc<AtomicU64>,
        counters: LineCounters,
    ) -> Self {
        Self { kind, sink, dropped, counters, faults: LogLimit::new(FAULTS_LOG_PAUSE) }
    }

    /// Writes each line as it comes, until the end.
    pub(super) fn run(mut self, queue: &Receiver<Item>) {
        while let Ok(Item::Line(line)) = queue.recv() {
            self.tell_dropped();
            match self.write(&line) {
                Ok(()) => {
                    self.counters.lines.inc();
                }
                Err(error) => self.lost(1, &error),
            }
        }
        self.tell_dropped();
    }

    /// Writes how many lines are missing, if some are.
    fn tell_dropped(&mut self) {
        let dropped = self.dropped.swap(0, Relaxed);
        if dropped > 0 {
            let line = format!("{{\"at_unix_ms\":{},\"dropped\":{dropped}}}\n", unix_ms());
            if self.write(line.as_bytes()).is_err() {
                self.dropped.fetch_add(dropped, Relaxed);
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::Files { files, started, part } => {
                if files.is_full(line.len()) {
                    files.rotate(&self.kind.header(*started, *part))?;
                    *part += 1;
                }
                files.append(line)
            }
            Sink::OwnLog => logging::Log.write_all(line),
        }
    }

    fn lost(&self, lines: u64, error: &io::Error) {
        self.dropped.fetch_add(lines, Relaxed);
        self.counters.dropped.inc_by(lines);
        if let Some(lines) = self.faults.count(lines, boot_time()) {
            let (name, setting) = (self.kind.files.name, self.kind.files.setting);
            tracing::error!(
                lines,
                "the {name} cannot be written, and lines are missing in it: free space or repair \
                 the directory of {setting}, error=`{error}`"
            );
        }
    }
}
