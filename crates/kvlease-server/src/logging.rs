//! Log lines on standard error, for people on a terminal and for programs elsewhere.

use std::io::{self, IsTerminal};

use tracing_subscriber::{filter::LevelFilter, fmt};

use crate::config::{Config, LogFormat};

/// Starts logging. A process that logs already goes on as it does.
pub(crate) fn start(config: &Config) {
    let human = match config.log_format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder = fmt()
        .with_writer(io::stderr)
        .with_max_level(LevelFilter::from_level(config.log_level))
        .with_target(false);
    let result = if human {
        builder.with_ansi(io::stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    if result.is_err() {
        tracing::debug!("logging was started before by this process");
    }
}
