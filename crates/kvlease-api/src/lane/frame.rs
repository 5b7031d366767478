//! Frames: a header of 16 bytes, then the payload.

use super::{kind::Kind, limits::HEADER_LEN};

/// A whole frame, in the buffer that it was received in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Number of its [`Kind`], known or not.
    pub kind: u16,
    /// Variant of the kind.
    pub flags: u16,
    /// Chosen by the client; an answer repeats that of its request.
    pub request: u64,
    /// Contents.
    pub payload: &'a [u8],
}

/// A header that announces more than its sender may send. Nothing behind it can be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the frame is too long: split it, len=`{len}`, max=`{max}`")]
pub struct FrameTooLong {
    /// Length of the payload that the header announces.
    pub len: u32,
    /// The most that its sender may send.
    pub max: usize,
    /// The number of the request that the frame is of.
    pub request: u64,
}

impl<'a> Frame<'a> {
    /// The frame that `bytes` begin with, and how many bytes it takes; `None` while some of it is
    /// missing.
    pub fn split(bytes: &'a [u8], len_max: usize) -> Result<Option<(Self, usize)>, FrameTooLong> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let (len, kind, flags, request) = fields(header);
        if len as usize > len_max {
            return Err(FrameTooLong { len, max: len_max, request });
        }
        let payload = rest.get(..len as usize);
        Ok(payload
            .map(|payload| (Self { kind, flags, request, payload }, HEADER_LEN + payload.len())))
    }

    /// How many bytes the frame that `bytes` begin with takes, header included, once that can be
    /// known.
    pub fn len_of(bytes: &[u8]) -> Option<usize> {
        let header = bytes.first_chunk::<HEADER_LEN>()?;
        Some(HEADER_LEN + fields(header).0 as usize)
    }

    /// Its kind, if that is known.
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_number(self.kind)
    }
}

fn fields(header: &[u8; HEADER_LEN]) -> (u32, u16, u16, u64) {
    let [l0, l1, l2, l3, k0, k1, f0, f1, request @ ..] = *header;
    (
        u32::from_le_bytes([l0, l1, l2, l3]),
        u16::from_le_bytes([k0, k1]),
        u16::from_le_bytes([f0, f1]),
        u64::from_le_bytes(request),
    )
}

/// Begins a frame at the end of `out`. Returns where it starts, for [`end`].
pub(super) fn begin(out: &mut Vec<u8>, kind: Kind, flags: u16, request: u64) -> usize {
    let start = out.len();
    out.extend_from_slice(&0_u32.to_le_bytes());
    out.extend_from_slice(&kind.number().to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&request.to_le_bytes());
    start
}

/// Ends the frame that starts at `start`: all behind its header is its payload.
pub(super) fn end(out: &mut [u8], start: usize) {
    let len = u32::try_from(payload_len(out, start)).expect("frames are kept within their limits");
    put_u32(out, start, len);
}

/// Length of the payload so far.
pub(super) fn payload_len(out: &[u8], start: usize) -> usize {
    out.len() - start - HEADER_LEN
}

/// Sets a field that was left open.
pub(super) fn put_u32(out: &mut [u8], at: usize, value: u32) {
    out[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
