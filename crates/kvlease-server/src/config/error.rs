//! Faults of a configuration, in one line that names the key, the value and the remedy.

/// Reason why a configuration cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "the configuration file cannot be read: {reason}; check the path and its permissions, config=`{path}`"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// Error of the system.
        reason: String,
    },
    /// The file is no TOML.
    #[error("the configuration file is no TOML: {reason}, config=`{path}`, line=`{line}`")]
    Syntax {
        /// The file.
        path: String,
        /// Error of the parser.
        reason: String,
        /// Line, counted from 1.
        line: usize,
    },
    /// No setting has this name.
    #[error("unknown setting: {remedy}, {key}=`{value}` ({origin})")]
    Unknown {
        /// The name that was used.
        key: String,
        /// The value that was given.
        value: String,
        /// The names that there are.
        remedy: String,
        /// Place where it was set.
        origin: String,
    },
    /// The value does not fit the setting.
    #[error("bad setting: {remedy}, {key}=`{value}` ({origin})")]
    Value {
        /// The setting.
        key: String,
        /// The value that was given.
        value: String,
        /// Text to write instead.
        remedy: String,
        /// Place where it was set.
        origin: String,
    },
}

impl ConfigError {
    /// Error of a value that does not fit its setting.
    pub(super) fn value(key: &str, value: &str, remedy: &str, origin: &str) -> Self {
        let [key, value, remedy, origin] = [key, value, remedy, origin].map(str::to_owned);
        Self::Value { key, value, remedy, origin }
    }
}
