//! Framing of bodies: by length, by chunked encoding, or by the end of the connection.

use bytes::{Buf, Bytes, BytesMut};
use httparse::{InvalidChunkSize, Status};

use crate::malformed::Malformed;

/// The longest line of chunked encoding that is taken: a size with its extensions, or a trailer.
const LINE_LEN_MAX: usize = 4096;

/// The most trailers of a body.
const TRAILERS_MAX: usize = 64;

/// The way to find a body's end, and the progress on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// There is no body, or it has ended.
    None,
    /// A number of bytes is to come.
    Sized(u64),
    /// Pieces, each with its length in front.
    Chunked(Frame),
    /// Until the peer closes the connection.
    UntilClose,
}

/// The place within chunked encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Frame {
    /// In front of a length.
    Size,
    /// Within a piece.
    Data(u64),
    /// Behind a piece, in front of its line end.
    DataEnd,
    /// Behind the last piece, with the number of trailers that were seen.
    Trailers(usize),
}

/// Meaning of the bytes that have arrived.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Bytes of the body.
    Bytes(Bytes),
    /// More has to arrive.
    More,
    /// The body has ended.
    End,
}

impl Framing {
    /// A body of `len` bytes.
    pub(crate) fn sized(len: u64) -> Self {
        if len == 0 { Self::None } else { Self::Sized(len) }
    }

    /// A body in chunked encoding.
    pub(crate) fn chunked() -> Self {
        Self::Chunked(Frame::Size)
    }

    /// How many bytes are to come at least, to read as many at once.
    pub(crate) fn at_least(self) -> u64 {
        match self {
            Self::Sized(len) | Self::Chunked(Frame::Data(len)) => len,
            _ => 0,
        }
    }

    /// Takes what is next in the body off what has arrived.
    pub(crate) fn next(&mut self, arrived: &mut BytesMut) -> Result<Step, Malformed> {
        loop {
            match self {
                Self::None => return Ok(Step::End),
                Self::UntilClose => return Ok(take(arrived, u64::MAX)),
                Self::Sized(remaining) => {
                    let step = take(arrived, *remaining);
                    if let Step::Bytes(bytes) = &step {
                        *self = Self::sized(*remaining - bytes.len() as u64);
                    }
                    return Ok(step);
                }
                Self::Chunked(frame) => match frame.next(arrived)? {
                    None => {}
                    Some(Step::End) => *self = Self::None,
                    Some(step) => return Ok(step),
                },
            }
        }
    }
}

impl Frame {
    /// One step within chunked encoding; `None` if the next one can follow at once.
    fn next(&mut self, arrived: &mut BytesMut) -> Result<Option<Step>, Malformed> {
        match self {
            Self::Size => {
                let parsed = httparse::parse_chunk_size(arrived);
                match parsed.map_err(|InvalidChunkSize| Malformed::Frames)? {
                    Status::Partial => return line_is_to_come(arrived).map(Some),
                    Status::Complete((len, size)) => {
                        ensure_line_len(len)?;
                        arrived.advance(len);
                        *self = if size == 0 { Self::Trailers(0) } else { Self::Data(size) };
                    }
                }
            }
            Self::Data(remaining) => {
                let step = take(arrived, *remaining);
                if let Step::Bytes(bytes) = &step {
                    *remaining -= bytes.len() as u64;
                    if *remaining == 0 {
                        *self = Self::DataEnd;
                    }
                }
                return Ok(Some(step));
            }
            Self::DataEnd => {
                if arrived.len() < 2 {
                    return Ok(Some(Step::More));
                }
                if !arrived.starts_with(b"\r\n") {
                    return Err(Malformed::Frames);
                }
                arrived.advance(2);
                *self = Self::Size;
            }
            Self::Trailers(seen) => {
                let Some(end) = arrived.iter().position(|byte| *byte == b'\n') else {
                    return line_is_to_come(arrived).map(Some);
                };
                ensure_line_len(end + 1)?;
                let is_last = matches!(&arrived[..end], b"\r" | b"");
                arrived.advance(end + 1);
                *seen += 1;
                match (is_last, *seen > TRAILERS_MAX) {
                    (true, _) => return Ok(Some(Step::End)),
                    (false, true) => return Err(Malformed::Frames),
                    (false, false) => {}
                }
            }
        }
        Ok(None)
    }
}

fn take(arrived: &mut BytesMut, len_max: u64) -> Step {
    let len = arrived.len().min(usize::try_from(len_max).unwrap_or(usize::MAX));
    if len == 0 { Step::More } else { Step::Bytes(arrived.split_to(len).freeze()) }
}

fn line_is_to_come(arrived: &BytesMut) -> Result<Step, Malformed> {
    ensure_line_len(arrived.len())?;
    Ok(Step::More)
}

/// Refuses a line, or the beginning of one, that is too long, however it was cut on its way.
fn ensure_line_len(len: usize) -> Result<(), Malformed> {
    if len > LINE_LEN_MAX { Err(Malformed::Frames) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body, and what is left behind it; `None` if it has no end.
    type Read = Option<(Vec<u8>, Vec<u8>)>;

    /// The body that arrives in pieces of `piece_len`.
    fn body(mut framing: Framing, wire: &[u8], piece_len: usize) -> Result<Read, Malformed> {
        let (mut arrived, mut body) = (BytesMut::new(), Vec::new());
        let mut pieces = wire.chunks(piece_len);
        loop {
            match framing.next(&mut arrived)? {
                Step::Bytes(bytes) => body.extend_from_slice(&bytes),
                Step::End => {
                    let rest = [arrived.to_vec(), pieces.flatten().copied().collect()].concat();
                    return Ok(Some((body, rest)));
                }
                Step::More => match pieces.next() {
                    Some(piece) => arrived.extend_from_slice(piece),
                    None => return Ok(None),
                },
            }
        }
    }

    #[test]
    fn a_sized_body_ends_after_its_length() {
        for piece_len in 1..12 {
            let (body, rest) = body(Framing::sized(5), b"12345HTTP", piece_len).unwrap().unwrap();
            assert_eq!(
                (body.as_slice(), rest.as_slice()),
                (b"12345".as_slice(), b"HTTP".as_slice())
            );
        }
        assert_eq!(body(Framing::sized(5), b"1234", 2), Ok(None));
        assert_eq!(body(Framing::sized(0), b"", 2), Ok(Some((vec![], vec![]))));
    }

    #[test]
    fn a_chunked_body_ends_after_its_last_piece_and_its_trailers() {
        let wire = b"4\r\nWiki\r\nB;x=\"y\"\r\n12345678901\r\n0\r\nTrailer: a\r\n\r\nHTTP";
        for piece_len in 1..wire.len() {
            let (body, rest) = body(Framing::chunked(), wire, piece_len).unwrap().unwrap();
            assert_eq!(body, b"Wiki12345678901");
            assert_eq!(rest, b"HTTP");
        }
        for end in 0..wire.len() - 4 {
            assert_eq!(body(Framing::chunked(), &wire[..end], 7), Ok(None), "{end}");
        }
    }

    #[test]
    fn broken_chunked_encoding_is_refused_and_no_line_is_awaited_for_ever() {
        let long = [b'1'; LINE_LEN_MAX + 100];
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(TRAILERS_MAX + 1));
        let trailer = format!("0\r\na: {}", "b".repeat(LINE_LEN_MAX + 1));
        // What is too long is so as well when all of it arrives at once.
        let whole_size = format!("1;{}\r\na\r\n0\r\n\r\n", "b".repeat(LINE_LEN_MAX));
        let whole_trailer = format!("{trailer}\r\n\r\n");
        for wire in [
            b"x\r\n".as_slice(),
            b"-1\r\n",
            b"2\r\nabc\r\n",
            b"fffffffffffffffff\r\n",
            &long,
            trailers.as_bytes(),
            trailer.as_bytes(),
            whole_size.as_bytes(),
            whole_trailer.as_bytes(),
        ] {
            for piece_len in [1, 7, usize::MAX] {
                assert_eq!(body(Framing::chunked(), wire, piece_len), Err(Malformed::Frames));
            }
        }
    }
}
