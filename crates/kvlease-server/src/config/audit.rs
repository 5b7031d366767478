//! Settings of the audit log.

use std::path::PathBuf;

use kvlease_types::ByteSize;

/// Settings of the section `[audit]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditSettings {
    /// Its file; `None` for no audit log.
    pub path: Option<PathBuf>,
    /// Requests that it has.
    pub level: AuditLevel,
    /// The size of a file.
    pub file_size: ByteSize,
    /// The most files.
    pub files_max: usize,
}

impl Default for AuditSettings {
    fn default() -> Self {
        let file_size = ByteSize::mib(64);
        Self { path: None, level: AuditLevel::Refused, file_size, files_max: 8 }
    }
}

/// Requests that the audit log has beside refusals and changes of what operators configure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AuditLevel {
    /// None.
    Refused,
    /// Those that store or remove objects.
    Changed,
    /// All.
    All,
}

impl AuditLevel {
    const ALL: [Self; 3] = [Self::Refused, Self::Changed, Self::All];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Changed => "changed",
            Self::All => "all",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|level| level.name() == text);
        found.ok_or_else(|| "write `refused`, `changed` or `all`".into())
    }
}
