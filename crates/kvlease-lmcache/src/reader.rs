//! Reads one value after the other from a configuration, each by the rule of its key.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf};

use kvlease_connector::SocketChoice;
use kvlease_types::BucketName;
use kvlease_types::SegmentName;

use super::{
    AdapterError, Value,
    keys::{OWN_PREFIX, SOCKET_LEN_MAX, STOCK_PREFIX},
    number,
    value::shown,
};

/// Bytes in one of the units of `max_lease_size_mb`.
const MIB: f64 = 1024.0 * 1024.0;
/// The first float that is beyond a `u64`: 2 to the 64th.
const U64_END: f64 = 18_446_744_073_709_551_616.0;
/// The text that means no shared memory, and no fast lane, in any case of its letters.
const NONE: &str = "none";
/// The text that means the fast lane that the daemon names, in any case of its letters.
const AUTO: &str = "auto";

/// Spelling of keys and numbers in a configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// LMCache's `extra_config`: keys have a prefix, and whatever Python's `int()` and `float()`
    /// read is a number.
    ExtraConfig,
    /// Bare keys, and numbers as in [`Form::ExtraConfig`].
    Options,
    /// The MP client's: bare keys, and only numbers are numbers.
    Strict,
}

/// A configuration that is being read.
pub(super) struct Reader<'a> {
    pub(super) values: &'a BTreeMap<String, Value>,
    pub(super) form: Form,
}

impl<'a> Reader<'a> {
    /// One of LMCache's own keys.
    pub(super) fn stock(&self, key: &str) -> Entry<'a> {
        self.entry(STOCK_PREFIX, key)
    }

    /// One of the keys that only this adapter knows.
    pub(super) fn own(&self, key: &str) -> Entry<'a> {
        self.entry(OWN_PREFIX, key)
    }

    fn entry(&self, prefix: &str, key: &str) -> Entry<'a> {
        let key = match self.form {
            Form::ExtraConfig => format!("{prefix}{key}"),
            Form::Options | Form::Strict => key.to_owned(),
        };
        Entry { value: self.values.get(&key), key, strict: self.form == Form::Strict }
    }
}

/// A key with its value, if the configuration has one.
pub(super) struct Entry<'a> {
    pub(super) key: String,
    pub(super) value: Option<&'a Value>,
    /// Whether only numbers are numbers.
    pub(super) strict: bool,
}

impl Entry<'_> {
    /// A whole number from 1 to `max`.
    pub(super) fn count(&self, default: u64, max: u64) -> Result<u64, AdapterError> {
        let Some(value) = self.value else { return Ok(default) };
        let count = self.whole(value).and_then(|int| u64::try_from(int).ok());
        count
            .filter(|count| (1..=max).contains(count))
            .ok_or_else(|| self.refused(value, &format!("give a whole number from 1 to {max}")))
    }

    /// Like [`Entry::count`], for a key whose default depends on the machine.
    pub(super) fn count_if_any(&self, max: u64) -> Result<Option<u64>, AdapterError> {
        match self.value {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.count(0, max).map(Some),
        }
    }

    /// A number of threads.
    pub(super) fn threads(&self, max: u64) -> Result<Option<NonZeroUsize>, AdapterError> {
        let threads = self.count_if_any(max)?.and_then(|count| usize::try_from(count).ok());
        Ok(threads.and_then(NonZeroUsize::new))
    }

    /// A number above 0, and at most `max`.
    pub(super) fn positive(&self, default: f64, max: f64) -> Result<f64, AdapterError> {
        let Some(value) = self.value else { return Ok(default) };
        self.real(value)
            .filter(|real| *real > 0.0 && *real <= max)
            .ok_or_else(|| self.refused(value, &format!("give a number above 0 and at most {max}")))
    }

    /// A size in MiB, which may have a fraction, in whole bytes.
    pub(super) fn mebibytes(&self) -> Result<Option<u64>, AdapterError> {
        let Some(value) = self.value.filter(|value| **value != Value::Null) else {
            return Ok(None);
        };
        let bytes = self.real(value).filter(|mib| *mib > 0.0).map(|mib| mib * MIB);
        match bytes {
            Some(bytes) if bytes < U64_END => Ok(Some(bytes as u64)),
            _ => Err(self.refused(value, "give a number of MiB above 0 and below 2^44, or null")),
        }
    }

    /// A truth value. Python takes every text that is not empty for true, `"false"` as well; here
    /// the usual words mean what they say and others are refused.
    pub(super) fn truth(&self) -> Result<bool, AdapterError> {
        let Some(value) = self.value else { return Ok(false) };
        let truth = match value {
            Value::Bool(bool) => Some(*bool),
            _ if self.strict => None,
            Value::Null => Some(false),
            Value::Int(int) => Some(*int != 0),
            Value::Float(float) => Some(*float != 0.0),
            Value::Str(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "" if !text.is_empty() => None,
                "" | "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            Value::Other { .. } => None,
        };
        truth.ok_or_else(|| self.refused(value, "give true or false"))
    }

    /// The name of a bucket; numbers and truth values are names as well, written as Python does.
    pub(super) fn bucket(&self, default: &str) -> Result<BucketName, AdapterError> {
        let default = Value::from(default);
        let value = self.value.unwrap_or(&default);
        let usable = match value {
            Value::Str(_) => true,
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => !self.strict,
            Value::Null | Value::Other { .. } => false,
        };
        match usable {
            true => BucketName::new(value.to_string())
                .map_err(|error| self.refused(value, &error.to_string())),
            false => Err(self.refused(value, "give the bucket's name, in quotes")),
        }
    }

    /// The name of a segment, or `None` to read over HTTP.
    pub(super) fn segment(&self, default: &str) -> Result<Option<SegmentName>, AdapterError> {
        let default = Value::from(default);
        let value = self.value.unwrap_or(&default);
        let name = match value {
            Value::Null => return Ok(None),
            // What Python takes for false has always meant no shared memory.
            Value::Bool(false) | Value::Int(0) if !self.strict => return Ok(None),
            Value::Float(float) if *float == 0.0 && !self.strict => return Ok(None),
            Value::Str(name) if name.is_empty() || name.eq_ignore_ascii_case(NONE) => {
                return Ok(None);
            }
            Value::Str(name) => name,
            _ => return Err(self.refused(value, "give the segment's name, or none")),
        };
        // The system ignores leading slashes too.
        let parsed = name.trim_start_matches('/').parse();
        parsed.map(Some).map_err(|_| {
            self.refused(
                value,
                "give a plain file name of at most 200 bytes without `/`, not starting with a dot",
            )
        })
    }

    /// Whether the fast lane is taken, and where it is.
    pub(super) fn socket(&self) -> Result<SocketChoice, AdapterError> {
        match self.value {
            None | Some(Value::Null) => Ok(SocketChoice::Announced),
            Some(Value::Bool(false)) => Ok(SocketChoice::Never),
            Some(Value::Str(text)) if text.eq_ignore_ascii_case(AUTO) => {
                Ok(SocketChoice::Announced)
            }
            Some(Value::Str(text)) if text.eq_ignore_ascii_case(NONE) => Ok(SocketChoice::Never),
            Some(Value::Str(path)) if is_socket_path(path) => Ok(SocketChoice::At(path.into())),
            Some(value) => {
                let remedy = format!(
                    "give auto, none, or the socket's path, which begins with `/` and has at most \
                     {SOCKET_LEN_MAX} bytes"
                );
                Err(self.refused(value, &remedy))
            }
        }
    }

    /// Whether the daemon's published index is read.
    pub(super) fn index(&self) -> Result<bool, AdapterError> {
        match self.value {
            None | Some(Value::Null | Value::Bool(true)) => Ok(true),
            Some(Value::Bool(false)) => Ok(false),
            Some(Value::Str(text)) if text.eq_ignore_ascii_case(AUTO) => Ok(true),
            Some(Value::Str(text)) if text.eq_ignore_ascii_case(NONE) => Ok(false),
            Some(value) => Err(self.refused(value, "give auto or none")),
        }
    }

    /// The number of a user, if there is one. Root is user 0.
    pub(super) fn user(&self) -> Result<Option<u32>, AdapterError> {
        let Some(value) = self.value.filter(|value| **value != Value::Null) else {
            return Ok(None);
        };
        let uid = self.whole(value).and_then(|int| u32::try_from(int).ok());
        // The system means no user by the last number.
        let uid = uid.filter(|uid| *uid != u32::MAX);
        let remedy = "give the number of the user that runs the daemon, as `id -u` shows it";
        uid.map(Some).ok_or_else(|| self.refused(value, remedy))
    }

    /// A path, if there is one.
    pub(super) fn path(&self) -> Result<Option<PathBuf>, AdapterError> {
        match self.value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Str(path)) if !path.is_empty() => Ok(Some(PathBuf::from(path))),
            Some(value) => Err(self.refused(value, "give a path")),
        }
    }

    fn whole(&self, value: &Value) -> Option<i128> {
        match (self.strict, value) {
            (true, Value::Int(int)) => Some(*int),
            (true, _) => None,
            (false, value) => number::int(value),
        }
    }

    fn real(&self, value: &Value) -> Option<f64> {
        match (self.strict, value) {
            (true, Value::Bool(_) | Value::Str(_)) => None,
            _ => number::float(value),
        }
    }

    pub(super) fn refused(&self, value: &Value, remedy: &str) -> AdapterError {
        let shown = match value {
            // Where only numbers are numbers, the reader has to see that this is a text.
            Value::Str(text) if self.strict => format!("\"{}\"", shown(text)),
            value => value.shown(),
        };
        AdapterError::Value { key: self.key.clone(), value: shown, remedy: remedy.to_owned() }
    }
}

fn is_socket_path(text: &str) -> bool {
    // A path from where the process happens to be would be a word for no that is none.
    text.starts_with('/') && text.len() <= SOCKET_LEN_MAX && !text.contains('\0')
}
