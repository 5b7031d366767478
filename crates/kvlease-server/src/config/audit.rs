//! Amount of what the audit log has.

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
