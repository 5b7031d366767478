//! What is wrong with a configuration, in one line that names the key, the value and the cure.

/// Why a configuration cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "the configuration file cannot be read: {reason}; check the path and its permissions, config=`{path}`"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The file is no TOML.
    #[error("the configuration file is no TOML: {reason}, config=`{path}`, line=`{line}`")]
    Syntax {
        /// The file.
        path: String,
        /// What the parser said.
        reason: String,
        /// Where, counted from 1.
        line: usize,
    },
    /// No setting has this name.
    #[error("unknown setting: {cure}, {key}=`{value}` ({origin})")]
    Unknown {
        /// The name that was used.
        key: String,
        /// The value that was given.
        value: String,
        /// Which names there are.
        cure: String,
        /// Where it was set.
        origin: String,
    },
    /// The value does not fit the setting.
    #[error("bad setting: {cure}, {key}=`{value}` ({origin})")]
    Value {
        /// The setting.
        key: String,
        /// The value that was given.
        value: String,
        /// What to write instead.
        cure: String,
        /// Where it was set.
        origin: String,
    },
}
