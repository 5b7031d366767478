//! The access log that is written.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kvlease_engine::LineFileKind;
use serde::Serialize;

use crate::{
    config::{AccessLogPlace, Config},
    exit::ServeError,
    line_log::{LineLog, LineLogKind},
    metrics::LineCounters,
};

/// Access logs.
static KIND: LineLogKind = LineLogKind {
    files: LineFileKind {
        name: "access log",
        setting: "access_log.path",
        magic: b"{\"kvlease_access\":",
    },
    mark: "kvlease_access",
    thread: "kvlease-access",
};

/// An access log that is written.
#[derive(Debug)]
pub(crate) struct AccessLog {
    log: LineLog,
    /// One request in this number has a line.
    sample: u64,
    /// Requests so far.
    seen: AtomicU64,
}

impl AccessLog {
    /// Begins the access log that is configured, if one is.
    pub(crate) fn begin(config: &Config) -> Result<Option<Self>, ServeError> {
        let settings = &config.access_log;
        let log = match &settings.path {
            AccessLogPlace::None => return Ok(None),
            AccessLogPlace::Log => LineLog::in_own_log(&KIND)?,
            AccessLogPlace::File(path) => {
                let bounds = (settings.file_size, settings.files_max);
                LineLog::in_files(&KIND, path, bounds)?
            }
        };
        let sample = settings.sample.max(1) as u64;
        Ok(Some(Self { log, sample, seen: AtomicU64::new(0) }))
    }

    /// Counts a request, and puts its line down if it is one of the sample or an error.
    pub(crate) fn note<L: Serialize>(&self, is_error: bool, line: impl FnOnce() -> L) {
        let is_sampled = self.seen.fetch_add(1, Relaxed).is_multiple_of(self.sample);
        if is_sampled || is_error {
            self.log.put(&line());
        }
    }

    /// The counters of its lines.
    pub(crate) fn counters(&self) -> LineCounters {
        self.log.counters()
    }

    /// Writes what waits, and ends.
    pub(crate) fn end(&self) {
        self.log.end();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kvlease_types::ByteSize;

    use super::*;
    use crate::config::AccessLogSettings;

    #[test]
    fn one_request_of_so_many_has_a_line_and_every_error() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("access");
        let config = Config {
            access_log: AccessLogSettings {
                path: AccessLogPlace::File(path.clone()),
                sample: 10,
                file_size: ByteSize::mib(1),
                files_max: 1,
            },
            ..Config::default()
        };
        let log = AccessLog::begin(&config).unwrap().unwrap();
        for number in 0..100 {
            log.note(number % 33 == 5, || number);
        }
        log.end();
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        assert!(lines.next().unwrap().starts_with("{\"kvlease_access\":1,"), "{text}");
        let lines: Vec<_> = lines.collect();
        let expected = ["0", "5", "10", "20", "30", "38", "40", "50", "60", "70", "71", "80", "90"];
        assert_eq!(lines, expected);
        assert_eq!(log.counters().lines.get(), 13);
        assert!(AccessLog::begin(&Config::default()).unwrap().is_none());
    }
}
