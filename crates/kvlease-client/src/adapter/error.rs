//! Why a configuration makes no connector.

use crate::AddressError;

/// Why a configuration makes no connector. Each names the key, its value and the cure.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// A key has a value that it cannot take.
    #[error("the setting has a value that it cannot take: {cure}, {key}=`{value}`")]
    Value {
        /// The key, as it is written in the configuration.
        key: String,
        /// Its value, cut where it is long.
        value: String,
        /// What to write instead.
        cure: String,
    },
    /// A setting that nobody knows, where LMCache's own client would refuse it too.
    #[error("the setting is not known: {cure}, {key}=`{value}`")]
    UnknownKey {
        /// The key.
        key: String,
        /// Its value, cut where it is long.
        value: String,
        /// What to write instead.
        cure: String,
    },
    /// The URL is empty, or is but a scheme.
    #[error("the url names no host: write `kvlease://host:port`, url=`{url}`")]
    EmptyUrl {
        /// The URL.
        url: String,
    },
    /// The URL names no daemon.
    #[error(transparent)]
    Address(#[from] AddressError),
}
