//! Form and amount of the daemon's log.

/// Settings of the daemon's log.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each field is the setting of its name, documented in SETTINGS")]
pub struct LogSettings {
    pub format: LogFormat,
    pub level: tracing::Level,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: tracing::Level::INFO }
    }
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people, with colours on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    const ALL: [Self; 2] = [Self::Human, Self::Json];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
    }

    pub(super) fn parse(text: &str) -> Result<LogFormat, String> {
        let format = LogFormat::ALL.into_iter().find(|format| format.name() == text);
        format.ok_or_else(|| "write `human` or `json`".into())
    }
}

pub(super) fn level(text: &str) -> Result<tracing::Level, String> {
    text.parse().map_err(|_| "write `error`, `warn`, `info`, `debug` or `trace`".into())
}
