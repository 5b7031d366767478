//! Names of segments: the shared-memory files of arenas.

use std::{fmt, str::FromStr};

/// Directory of POSIX shared memory on Linux.
pub const DEFAULT_SEGMENT_DIR: &str = "/dev/shm";

/// Longest segment name, in bytes. With the private directory's prefix it stays within the
/// 255 bytes that a file name may have.
pub const SEGMENT_NAME_LEN_MAX: usize = 200;

/// Public file name of an arena: 1 to [`SEGMENT_NAME_LEN_MAX`] bytes of printable characters,
/// without `/`, and not starting with `.`, which is reserved for private directories.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SegmentName(Box<str>);

impl SegmentName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Fault of a text that cannot name a segment.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SegmentNameError {
    /// It is empty or longer than [`SEGMENT_NAME_LEN_MAX`] bytes.
    #[error(
        "`shared_memory_name` has the wrong length: \
         keep it within 1 to {SEGMENT_NAME_LEN_MAX} bytes, len=`{len}`"
    )]
    Length {
        /// Length in bytes.
        len: usize,
    },
    /// It has a character that a file name or a log line cannot have.
    #[error(
        "`shared_memory_name` has a character that a segment cannot have: \
         use a plain file name without `/`, shared_memory_name=`{escaped}`"
    )]
    Character {
        /// Name, with such characters escaped.
        escaped: String,
    },
    /// It starts with `.`.
    #[error(
        "`shared_memory_name` starts with a dot, which is reserved for private directories: \
         choose another first character, shared_memory_name=`{name}`"
    )]
    LeadingDot {
        /// Name.
        name: String,
    },
}

impl FromStr for SegmentName {
    type Err = SegmentNameError;

    fn from_str(text: &str) -> Result<Self, SegmentNameError> {
        if text.is_empty() || text.len() > SEGMENT_NAME_LEN_MAX {
            return Err(SegmentNameError::Length { len: text.len() });
        }
        if text.chars().any(|c| c == '/' || c.is_control()) {
            return Err(SegmentNameError::Character { escaped: text.escape_debug().collect() });
        }
        if text.starts_with('.') {
            return Err(SegmentNameError::LeadingDot { name: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_file_names_are_segment_names() {
        for text in ["shared_memory", "a", "kv-0.arena", &"n".repeat(SEGMENT_NAME_LEN_MAX)] {
            assert_eq!(text.parse::<SegmentName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn odd_names_are_refused_in_one_line() {
        let long = "n".repeat(SEGMENT_NAME_LEN_MAX + 1);
        for text in ["", "a/b", "/", "a\0b", "a\nb", ".hidden", "..", &long] {
            let error = text.parse::<SegmentName>().unwrap_err().to_string();
            assert!(error.starts_with("`shared_memory_name`"), "{error}");
            assert!(!error.contains('\n') && !error.contains('\0'), "{error:?}");
        }
    }
}
