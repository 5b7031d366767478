//! Reasons why a payload is not what its frame says it is.

use kvlease_types::NameError;

use super::limits::{EXTENTS_MAX, FRAME_LEN_MAX, KEYS_MAX};

/// Reason why a payload is not what its frame says it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// The payload ends before its last field.
    #[error("the payload is too short for what it announces: send all of it")]
    Truncated,
    /// Bytes follow behind all that the payload holds.
    #[error("the payload is longer than what it announces: send nothing behind it, left=`{left}`")]
    TooLong {
        /// How many bytes.
        left: usize,
    },
    /// A reserved field is not zero.
    #[error("a reserved field is not zero: clear it")]
    Reserved,
    /// The frame has flags that its kind does not know.
    #[error("the frame has flags that its kind does not know: clear them, flags=`{flags:#x}`")]
    Flags {
        /// All flags of the frame.
        flags: u16,
    },
    /// No frame of this direction has this kind.
    #[error("no frame of this direction has this kind, kind=`{kind}`")]
    Kind {
        /// The number.
        kind: u16,
    },
    /// More items than a frame may name.
    #[error("the frame names too many items: split it, max=`{KEYS_MAX}`, count=`{count}`")]
    Count {
        /// How many it announces.
        count: u32,
    },
    /// A mode that there is not.
    #[error("no such mode: use 0 for each key on its own, 1 for the longest prefix, mode=`{mode}`")]
    Mode {
        /// The number.
        mode: u8,
    },
    /// A bucket or a key that cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A text that is no UTF-8.
    #[error("a name or a text is no UTF-8: encode it")]
    Text,
    /// The hello does not begin as one.
    #[error(
        "the first frame does not begin with the magic of the fast lane: this is no kvlease client"
    )]
    Magic,
    /// The welcome is of another version than the one that was asked for.
    #[error(
        "the welcome is of another version: use a client of this daemon's, version=`{version}`"
    )]
    Version {
        /// The version.
        version: u16,
    },
    /// A status or a code that there is not.
    #[error("no such status, status=`{status}`")]
    Status {
        /// The number.
        status: u16,
    },
    /// Extents that are none: too many, beyond 64 bits, or of another length than the object.
    #[error("the extents are not those of one object, at most=`{EXTENTS_MAX}`")]
    Extents,
}

const _: () = assert!(KEYS_MAX * 3 <= FRAME_LEN_MAX, "a frame of the shortest keys fits");
