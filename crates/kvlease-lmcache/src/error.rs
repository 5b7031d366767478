//! Errors of a configuration.

use kvlease_http::AddressError;

/// Reason why a configuration makes no connector. Each names the key, its value and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// A key has a value that it cannot take.
    #[error("the setting has a value that it cannot take: {remedy}, {key}=`{value}`")]
    Value {
        /// The key, as it is written in the configuration.
        key: String,
        /// Its value, cut where it is long.
        value: String,
        /// The remedy: a key or a value to write instead.
        remedy: String,
    },
    /// A setting that is not known, where LMCache's own client would refuse it too.
    #[error("the setting is not known: {remedy}, {key}=`{value}`")]
    UnknownKey {
        /// The key.
        key: String,
        /// Its value, cut where it is long.
        value: String,
        /// The remedy: a key or a value to write instead.
        remedy: String,
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
