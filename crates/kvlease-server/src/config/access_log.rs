//! Place and amount of the access log.

use std::{fmt, path::PathBuf};

use kvlease_types::ByteSize;

/// Settings of the access log.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each field is the setting of its name, documented in SETTINGS")]
pub struct AccessLogSettings {
    pub path: AccessLogPlace,
    pub sample: usize,
    pub file_size: ByteSize,
    pub files_max: usize,
}

impl Default for AccessLogSettings {
    fn default() -> Self {
        let (path, file_size) = (AccessLogPlace::None, ByteSize::mib(64));
        Self { path, sample: 1, file_size, files_max: 8 }
    }
}

/// Place of the access log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccessLogPlace {
    /// There is none.
    None,
    /// Among the lines of the daemon's own log.
    Log,
    /// A file.
    File(PathBuf),
}

impl AccessLogPlace {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("write a path, `log` or `none`".into()),
            "none" => Ok(Self::None),
            "log" => Ok(Self::Log),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl fmt::Display for AccessLogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Log => f.write_str("log"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
