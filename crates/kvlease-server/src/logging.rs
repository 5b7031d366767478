//! Log lines on standard error, for people or for programs. A line that cannot be written is
//! dropped and counted: neither a full disk nor a reader that went away ends or stops the daemon.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, write},
    stdio::stderr,
};
use tracing_subscriber::{filter::LevelFilter, fmt};

use crate::{
    config::{Config, LogFormat},
    tagged_lines::Tagged,
};

/// Longest wait for a reader of the log that does not read. Later lines do not wait until it does.
const READER_WAIT: Duration = Duration::from_millis(100);

/// Most bytes that a pipe which is ready takes without a wait, `PIPE_BUF`.
const PIECE_LEN: usize = 4096;

/// Lines that could not be written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Whether the reader took the last line; lines of several threads do not mix.
static READS: Mutex<bool> = Mutex::new(true);

/// Starts logging. A process that logs already goes on as it does.
pub(crate) fn start(config: &Config) {
    let builder = fmt()
        .with_writer(|| Log)
        .log_internal_errors(false)
        .with_max_level(LevelFilter::from_level(config.log.level))
        .with_target(false);
    let result = match config.log.format {
        LogFormat::Human => {
            let ansi = io::stderr().is_terminal();
            let lines = |format: fmt::format::Format| format.with_ansi(ansi);
            let builder = builder.with_ansi(ansi).map_event_format(lines);
            builder.map_event_format(|lines| Tagged::new(lines, LogFormat::Human)).try_init()
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true);
            builder.map_event_format(|lines| Tagged::new(lines, LogFormat::Json)).try_init()
        }
    };
    if result.is_err() {
        tracing::debug!("logging was started before by this process");
    }
}

/// Number of lines that could not be written since the start of the process.
pub(crate) fn lines_dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// Writer of whole lines on standard error.
pub(crate) struct Log;

impl Write for Log {
    /// Takes one line. Never fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut reads = READS.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = if *reads { READER_WAIT } else { Duration::ZERO };
        *reads = write_line(line, wait).is_ok();
        if !*reads {
            DROPPED.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_line(mut line: &[u8], wait: Duration) -> Result<(), Errno> {
    while !line.is_empty() {
        await_reader(wait)?;
        match write(stderr(), &line[..line.len().min(PIECE_LEN)]) {
            Ok(written) => line = &line[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Waits until a write to standard error does not.
fn await_reader(wait: Duration) -> Result<(), Errno> {
    let (stderr, wait) = (stderr(), Timespec::try_from(wait).expect("the wait is short"));
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    match poll(&mut ready, Some(&wait)) {
        Ok(0) => Err(Errno::AGAIN),
        // A write says what is wrong with a descriptor that is not ready.
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}
