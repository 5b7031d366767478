//! The audit log that is written, and its lines.

use kvlease_engine::LineFileKind;
use kvlease_types::Caller;
use serde::Serialize;

use crate::{
    access::Means,
    config::{AuditLevel, Config},
    exit::ServeError,
    line_log::{LineLog, LineLogKind, unix_ms},
    metrics::LineCounters,
};

/// Audit logs.
static KIND: LineLogKind = LineLogKind {
    files: LineFileKind { name: "audit log", setting: "audit.path", magic: b"{\"kvlease_audit\":" },
    mark: "kvlease_audit",
    thread: "kvlease-audit",
};

/// An audit log that is written.
#[derive(Debug)]
pub(crate) struct Audit {
    level: AuditLevel,
    log: LineLog,
}

/// Contents of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) tenant: Option<&'a str>,
    /// How the caller was identified.
    pub(crate) means: Option<Means>,
    pub(crate) operation: &'a str,
    pub(crate) bucket: Option<&'a str>,
    /// `ok`, or the reason of the refusal.
    pub(crate) outcome: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    at_unix_ms: u64,
    tenant: Option<&'a str>,
    by: Option<&'static str>,
    via: &'static str,
    peer: String,
    operation: &'a str,
    bucket: Option<&'a str>,
    outcome: &'a str,
}

impl Audit {
    /// Begins the audit log that is configured, if one is: its file has a header of this start when this returns.
    pub(crate) fn begin(config: &Config) -> Result<Option<Self>, ServeError> {
        let Some(path) = &config.audit.path else { return Ok(None) };
        let bounds = (config.audit.file_size, config.audit.files_max);
        let log = LineLog::in_files(&KIND, path, bounds)?;
        Ok(Some(Self { level: config.audit.level, log }))
    }

    /// Whether it has requests of this level that were not refused.
    pub(crate) fn has(&self, level: AuditLevel) -> bool {
        level <= self.level
    }

    /// Puts a line down, if there is room for it.
    pub(crate) fn note(&self, entry: &Entry<'_>) {
        let Entry { caller, tenant, means, operation, bucket, outcome } = *entry;
        self.log.put(&Line {
            at_unix_ms: unix_ms(),
            tenant,
            by: means.map(Means::name),
            via: caller.via(),
            peer: caller.to_string(),
            operation,
            bucket,
            outcome,
        });
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
    use serde_json::Value;

    use super::*;
    use crate::config::AuditSettings;

    fn config(path: &std::path::Path) -> Config {
        Config {
            audit: AuditSettings {
                path: Some(path.to_owned()),
                level: AuditLevel::Changed,
                files_max: 2,
                file_size: ByteSize::new(2_000),
            },
            ..Config::default()
        }
    }

    fn lines(path: &std::path::Path) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn lines_are_written_in_order_into_files_of_bounded_length_and_number() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("audit");
        let audit = Audit::begin(&config(&path)).unwrap().unwrap();
        assert!(audit.has(AuditLevel::Refused) && audit.has(AuditLevel::Changed));
        assert!(!audit.has(AuditLevel::All));
        let caller = Caller::lane(1, 7, 8, None);
        let buckets: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        for bucket in &buckets {
            audit.note(&Entry {
                caller: &caller,
                tenant: Some("a"),
                means: Some(Means::User),
                operation: "put",
                bucket: Some(bucket),
                outcome: "ok",
            });
        }
        audit.end();
        audit.end();
        assert_eq!(audit.counters().lines.get(), 100);
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 2, "{names:?}");
        let (earlier, last) = (lines(&dir.path().join("audit.1")), lines(&path));
        assert!(fs::metadata(&path).unwrap().len() <= 2_000);
        for file in [&earlier, &last] {
            assert_eq!(file[0]["kvlease_audit"], 1);
        }
        let noted = earlier[1..].iter().chain(&last[1..]);
        let noted: Vec<_> = noted.map(|line| line["bucket"].as_str().unwrap()).collect();
        assert_eq!(noted, buckets[100 - noted.len()..], "the oldest go first");
        let line = &last[1];
        assert_eq!((line["tenant"].as_str(), line["by"].as_str()), (Some("a"), Some("uid")));
        assert_eq!(
            (line["via"].as_str(), line["peer"].as_str()),
            (Some("lane"), Some("uid 7 gid 8"))
        );
    }

    #[test]
    fn the_next_start_goes_on_in_the_same_file() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("audit");
        for bucket in ["a", "b"] {
            let audit = Audit::begin(&config(&path)).unwrap().unwrap();
            audit.note(&Entry {
                caller: &Caller::lane(1, 7, 8, None),
                tenant: None,
                means: None,
                operation: "put",
                bucket: Some(bucket),
                outcome: "ok",
            });
            audit.end();
        }
        let lines = lines(&path);
        assert_eq!([&lines[0], &lines[2]].map(|line| &line["kvlease_audit"]), [1, 1]);
        assert_eq!([&lines[1], &lines[3]].map(|line| &line["bucket"]), ["a", "b"]);
        assert_eq!((lines.len(), fs::read_dir(dir.path()).unwrap().count()), (4, 1));
    }

    #[test]
    fn without_a_path_there_is_none_and_another_file_is_left_alone() {
        assert!(Audit::begin(&Config::default()).unwrap().is_none());
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("audit");
        fs::write(&path, "precious").unwrap();
        let line = Audit::begin(&config(&path)).unwrap_err().to_string();
        assert!(
            line.contains("no audit log has this name") && line.contains("audit.path=`"),
            "{line}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
