//! The answer to a request that is refused as a whole.

use super::{
    frame::{begin, end},
    kind::Kind,
    malformed::Malformed,
    reader::Reader,
};

numbered! {
    /// Reason why a request is refused as a whole.
    FailureCode: u16 {
        /// The daemon speaks another version of the format, which the text names, or the client is
        /// none.
        Version = 1 "version",
        /// The client's user may not use the socket.
        NotAllowed = 2 "not_allowed",
        /// The frame is longer than a client may send.
        FrameTooLong = 3 "frame_too_long",
        /// A connection begins with one hello, and has no other.
        Order = 4 "order",
        /// No request has this kind.
        UnknownKind = 5 "unknown_kind",
        /// The payload is not what its frame says it is.
        Malformed = 6 "malformed",
        /// The daemon is shutting down.
        Unavailable = 7 "unavailable",
        /// The client's tenant may not do that.
        Forbidden = 8 "forbidden",
        /// A quota of requests of the client's tenant, or of the bucket, is used up: try later.
        TooManyRequests = 9 "too_many_requests",
    }
}

impl FailureCode {
    /// Whether the daemon closes the connection behind it.
    pub const fn closes(self) -> bool {
        match self {
            Self::Version | Self::NotAllowed | Self::FrameTooLong | Self::Order => true,
            Self::UnknownKind
            | Self::Malformed
            | Self::Unavailable
            | Self::Forbidden
            | Self::TooManyRequests => false,
        }
    }
}

/// A request was refused as a whole; nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure<'a> {
    /// Reason, for programs.
    pub code: FailureCode,
    /// Reason, for people: names the value and the remedy.
    pub text: &'a str,
}

impl<'a> Failure<'a> {
    pub(super) fn decode(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let code = reader.u16()?;
        let code = FailureCode::from_number(code).ok_or(Malformed::Status { status: code })?;
        reader.reserved::<2>()?;
        let len = reader.u16()?;
        reader.reserved::<2>()?;
        let text = std::str::from_utf8(reader.take(len.into())?).map_err(|_| Malformed::Text)?;
        reader.end()?;
        Ok(Self { code, text })
    }
}

/// Appends a refusal. A text that is longer than its length can say is cut.
pub fn write_failure(out: &mut Vec<u8>, request: u64, failure: &Failure<'_>) {
    let start = begin(out, Kind::Error, 0, request);
    let end_of_text = failure.text.floor_char_boundary(u16::MAX.into());
    let text = &failure.text[..end_of_text];
    out.extend_from_slice(&failure.code.number().to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(text.as_bytes());
    end(out, start);
}
