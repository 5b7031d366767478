//! A log of lines that is written.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle},
};

use kvlease_engine::LineFiles;
use kvlease_types::ByteSize;
use serde::Serialize;

use super::{
    kind::LineLogKind,
    queue::{Item, unix_ms},
    writer::{Sink, Writer},
};
use crate::{exit::ServeError, metrics::LineCounters};

/// Lines that wait to be written.
const LINES_MAX: usize = 8_192;

/// A log of lines that is written.
#[derive(Debug)]
pub(crate) struct LineLog {
    lines: SyncSender<Item>,
    /// Lines that are missing since the last line that said so.
    dropped: Arc<AtomicU64>,
    counters: LineCounters,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl LineLog {
    /// Begins a log in files: the last has a header of this start when this returns.
    pub(crate) fn in_files(
        kind: &'static LineLogKind,
        path: &Path,
        (len_max, files_max): (ByteSize, usize),
    ) -> Result<Self, ServeError> {
        let started = unix_ms();
        let header = kind.header(started, 0);
        let files = LineFiles::resume(kind.files, path, len_max, files_max, &header)?;
        let log = Self::begin(kind, Sink::Files { files, started, part: 1 })?;
        tracing::info!(
            "an {} is written, {}=`{}`",
            kind.files.name,
            kind.files.setting,
            path.display()
        );
        Ok(log)
    }

    /// Begins a log whose lines are among the daemon's own.
    pub(crate) fn in_own_log(kind: &'static LineLogKind) -> Result<Self, ServeError> {
        Self::begin(kind, Sink::OwnLog)
    }

    fn begin(kind: &'static LineLogKind, sink: Sink) -> Result<Self, ServeError> {
        let (lines, queue) = mpsc::sync_channel(LINES_MAX);
        let (dropped, counters) = (Arc::default(), LineCounters::default());
        let writer = Writer::new(kind, sink, Arc::clone(&dropped), counters.clone());
        let thread = thread::Builder::new().name(kind.thread.into());
        let thread = thread.spawn(move || writer.run(&queue));
        let thread = thread.map_err(|source| ServeError::System { what: "threads", source })?;
        Ok(Self { lines, dropped, counters, writer: Mutex::new(Some(thread)) })
    }

    /// Puts a line down, if there is room for it.
    pub(crate) fn put(&self, line: &impl Serialize) {
        let mut line = serde_json::to_vec(line).expect("a line has string keys");
        line.push(b'\n');
        if self.lines.try_send(Item::Line(line)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
            self.counters.dropped.inc();
        }
    }

    /// The counters of its lines.
    pub(crate) fn counters(&self) -> LineCounters {
        self.counters.clone()
    }

    /// Writes what waits, and ends.
    pub(crate) fn end(&self) {
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && self.lines.send(Item::End).is_ok()
        {
            thread.join().expect("a panic ends the process");
        }
    }
}
