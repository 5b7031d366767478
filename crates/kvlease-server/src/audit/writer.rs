//! The thread that writes the audit log.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::Receiver,
    },
    time::Duration,
};

use kvlease_engine::{LineFiles, LogLimit};
use kvlease_sys::boot_time;

use super::queue::{Item, unix_ms};
use crate::metrics::AuditCounters;

/// Version of the format.
const VERSION: u32 = 1;

/// Time between two lines of the log on an audit log that cannot be written.
const FAULTS_LOG_PAUSE: Duration = Duration::from_secs(60);

/// First line of a file, the one with this number since the daemon started.
pub(super) fn header(started_unix_ms: u64, part: u64) -> Vec<u8> {
    let program = env!("CARGO_PKG_VERSION");
    format!(
        "{{\"kvlease_audit\":{VERSION},\"program\":\"{program}\",\"part\":{part},\
         \"started_unix_ms\":{started_unix_ms}}}\n"
    )
    .into_bytes()
}

/// Writer of the files.
pub(super) struct Writer {
    files: LineFiles,
    started_unix_ms: u64,
    /// Number of the next file.
    part: u64,
    dropped: Arc<AtomicU64>,
    counters: AuditCounters,
    faults: LogLimit,
}

impl Writer {
    pub(super) fn new(
        files: LineFiles,
        started_unix_ms: u64,
        dropped: Arc<AtomicU64>,
        counters: AuditCounters,
    ) -> Self {
        let faults = LogLimit::new(FAULTS_LOG_PAUSE);
        Self { files, started_unix_ms, part: 1, dropped, counters, faults }
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
        if self.files.is_full(line.len()) {
            self.files.rotate(&header(self.started_unix_ms, self.part))?;
            self.part += 1;
        }
        self.files.append(line)
    }

    fn lost(&self, lines: u64, error: &io::Error) {
        self.dropped.fetch_add(lines, Relaxed);
        self.counters.dropped.inc_by(lines);
        if let Some(lines) = self.faults.count(lines, boot_time()) {
            tracing::error!(
                lines,
                "the audit log cannot be written, and lines are missing in it: free space or repair \
                 the directory of audit.path, error=`{error}`"
            );
        }
    }
}
