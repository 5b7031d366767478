//! Log lines on standard error, for people or for programs.

use std::io::{self, IsTerminal};

use tracing_subscriber::{filter::LevelFilter, fmt};

use crate::config::{Config, LogFormat};

/// Starts logging. A process that logs already goes on as it does.
pub(crate) fn start(config: &Config) {
    let builder = fmt()
        .with_writer(io::stderr)
        .with_max_level(LevelFilter::from_level(config.log_level))
        .with_target(false);
    let result = match config.log_format {
        LogFormat::Human => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if result.is_err() {
        tracing::debug!("logging was started before by this process");
    }
}
