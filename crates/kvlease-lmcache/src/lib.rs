//! The adapter: from LMCache's configuration to a connector.
//!
//! LMCache hands a URL and `extra_config`, a table of whatever its YAML, JSON or Python holds, to
//! an adapter. This one takes the keys of LMCache's own `sagemaker-hyperpod` adapter, reads their
//! values as Python reads them, and applies the same defaults and the same lower bounds: a
//! configuration that works there works here and means the same. Where LMCache's adapter takes
//! what cannot be meant (a time-out of `nan`, a URL without a host), this one refuses with an error
//! that names the key, the value and the remedy. `docs/lmcache-settings.md` lists all differences.
//!
//! Three faces, one set of rules: [`settings()`] for the in-process connector,
//! [`multi_process_settings`] for the MP client, and [`option_settings`] for programs. A key that
//! is not known is an error in the last two; in `extra_config`, which is not ours alone, it is one
//! of [`Settings::warnings`].
//!
//! ```
//! use kvlease_lmcache::{ConnectorContext, settings};
//!
//! let mut context = ConnectorContext::new("kvlease://127.0.0.1:9200");
//! context.extra_config.insert("sagemaker_hyperpod_timeout_ms".into(), "2_500".into());
//! assert_eq!(settings(&context)?.timeout_ms, 2500);
//! # Ok::<(), kvlease_lmcache::AdapterError>(())
//! ```

#![forbid(unsafe_code)]

mod context;
mod credentials;
mod digits;
mod error;
mod expand;
mod keys;
mod number;
mod reader;
mod rules;
mod settings;
mod url;
mod value;

pub use context::{ConnectorContext, Environment};
pub use error::AdapterError;
pub use rules::{extra_config_settings, multi_process_settings, option_settings, settings};
pub use settings::Settings;
pub use url::parse_url;
pub use value::Value;

use std::collections::BTreeMap;

use kvlease_connector::Connector;
use reader::Entry;

/// Makes the connector that a configuration asks for. It has not connected yet.
///
/// # Errors
///
/// Those of [`settings()`].
pub fn create_connector(context: &ConnectorContext) -> Result<Connector, AdapterError> {
    Ok(Connector::new(settings(context)?.connector_config()))
}

/// The whole number above 0 that `config` has under `key`, or `default` if it has none: anything
/// that Python's `int()` reads. A default of 0 is refused like a value.
///
/// # Errors
///
/// [`AdapterError::Value`].
pub fn get_positive_int(
    config: &BTreeMap<String, Value>,
    key: &str,
    default: u64,
) -> Result<u64, AdapterError> {
    let default = Value::from(default);
    let value = Some(config.get(key).unwrap_or(&default));
    Entry { key: key.to_owned(), value, strict: false }.count(0, u64::MAX)
}

/// The number above 0 that `config` has under `key`, or `default` if it has none: anything finite
/// that Python's `float()` reads. A default that is not above 0 is refused like a value.
///
/// # Errors
///
/// [`AdapterError::Value`].
pub fn get_positive_float(
    config: &BTreeMap<String, Value>,
    key: &str,
    default: f64,
) -> Result<f64, AdapterError> {
    let default = Value::from(default);
    let value = Some(config.get(key).unwrap_or(&default));
    Entry { key: key.to_owned(), value, strict: false }.positive(0.0, f64::MAX)
}
