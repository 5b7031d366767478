//! Request bodies: nothing, bytes, or a source that is read while it is sent.
//!
//! A body knows what to write next and how much of it was written. A source of unknown length is
//! framed as it is read (chunked encoding), so that the connection writes all bodies alike.

use std::{
    fmt, io,
    io::Write,
    mem,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use kvlease_sys::ExternalBytes;
use smallvec::SmallVec;
use tokio::io::{AsyncRead, ReadBuf};

/// Room for the length in front of a piece of unknown context: 16 hexadecimal digits and CRLF.
const FRAME_HEAD_LEN: usize = 18;

/// End of a framed piece.
const FRAME_TAIL: &[u8] = b"\r\n";

/// End of a framed body: a piece of length 0, and no trailers.
const FRAMES_END: &[u8] = b"0\r\n\r\n";

/// The bytes of an object in memory: parts in their order, most often one or two.
pub type PutParts = SmallVec<[Bytes; 2]>;

/// The bytes of an object to store.
pub struct PutBody {
    /// Sent in this order, if there is no source.
    parts: PutParts,
    /// The first part that was not sent to its end.
    next: usize,
    source: Option<Box<Source>>,
}

struct Source {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    /// How many bytes are to come, if that was said. If not, pieces are framed.
    remaining: Option<u64>,
    ended: bool,
    /// The piece that is being written, its frame included, and where it is in there.
    piece: Vec<u8>,
    unsent: Range<usize>,
}

impl PutBody {
    /// Everything that `reader` gives until its end. `len` in bytes is sent ahead if it is known,
    /// and then the source must give exactly as much; if not, chunked encoding is used.
    pub fn reader(reader: impl AsyncRead + Send + 'static, len: Option<u64>) -> Self {
        let source = Source {
            reader: Box::pin(reader),
            remaining: len,
            ended: false,
            piece: Vec::new(),
            unsent: 0..0,
        };
        Self { source: Some(Box::new(source)), ..Self::empty() }
    }

    /// External memory, which is sent from where it is.
    pub fn external(bytes: ExternalBytes) -> Self {
        Self::from(Bytes::from_owner(bytes))
    }

    /// A head of its own and bytes that stay where they are, sent one after the other: what stores
    /// both as one object without joining them in memory.
    pub fn headed(head: impl Into<Bytes>, rest: ExternalBytes) -> Self {
        Self::of_parts([head.into(), Bytes::from_owner(rest)].into())
    }

    /// Regions of external memory, which are sent from where they are, one after the other: what
    /// stores all of them as one object.
    pub fn gathered(regions: impl IntoIterator<Item = ExternalBytes>) -> Self {
        Self::of_parts(regions.into_iter().map(Bytes::from_owner).collect())
    }

    /// Takes the body out, and leaves an empty one.
    pub fn take(&mut self) -> Self {
        mem::replace(self, Self::empty())
    }

    /// No body at all.
    pub(crate) fn empty() -> Self {
        Self::of_parts(PutParts::new())
    }

    fn of_parts(parts: PutParts) -> Self {
        Self { parts, next: 0, source: None }
    }

    /// All bytes that are to come, if they are in memory.
    pub fn in_memory(&self) -> Option<PutParts> {
        self.source.is_none().then(|| self.parts.clone())
    }

    /// How many bytes are to come, if that is known.
    #[expect(clippy::len_without_is_empty, reason = "a body of unknown length may be empty")]
    pub fn len(&self) -> Option<u64> {
        match &self.source {
            Some(source) => source.remaining,
            None => Some(self.parts.iter().map(|part| part.len() as u64).sum()),
        }
    }

    /// Makes sure that [`Self::unsent`] has something. `false` at the end. Reads at most `piece_len`
    /// bytes of a source.
    pub(crate) fn poll_unsent(
        &mut self,
        context: &mut Context<'_>,
        piece_len: usize,
    ) -> Poll<io::Result<bool>> {
        match &mut self.source {
            Some(source) => source.poll_unsent(context, piece_len),
            None => Poll::Ready(Ok(self.rest().next().is_some())),
        }
    }

    /// The bytes to write next, at most `write_len` bytes of memory or one piece of a source.
    pub(crate) fn unsent(&self, write_len: usize) -> [&[u8]; 2] {
        if let Some(source) = &self.source {
            return [&source.piece[source.unsent.clone()], &[]];
        }
        let mut rest = self.rest();
        let mut at_most =
            |len: usize| rest.next().map_or([].as_slice(), |part| &part[..part.len().min(len)]);
        let first = at_most(write_len);
        [first, at_most(write_len - first.len())]
    }

    /// Takes `len` bytes off what is to be written.
    pub(crate) fn advance(&mut self, len: usize) {
        if let Some(source) = &mut self.source {
            source.unsent.start += len;
            return;
        }
        let mut len = len;
        while len > 0 {
            let part = &mut self.parts[self.next];
            let taken = part.len().min(len);
            part.advance(taken);
            len -= taken;
            self.next += usize::from(part.is_empty());
        }
    }

    /// The parts, or what is left of them, that are still to be sent.
    fn rest(&self) -> impl Iterator<Item = &Bytes> {
        self.parts[self.next..].iter().filter(|part| !part.is_empty())
    }
}

impl<T: Into<Bytes>> From<T> for PutBody {
    fn from(bytes: T) -> Self {
        Self::of_parts([bytes.into()].into_iter().collect())
    }
}

impl fmt::Debug for PutBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutBody").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Source {
    fn poll_unsent(
        &mut self,
        context: &mut Context<'_>,
        piece_len: usize,
    ) -> Poll<io::Result<bool>> {
        if !self.unsent.is_empty() || self.ended {
            return Poll::Ready(Ok(!self.unsent.is_empty()));
        }
        let room = FRAME_HEAD_LEN..FRAME_HEAD_LEN + piece_len;
        self.piece.resize(room.end + FRAME_TAIL.len(), 0);
        let mut target = ReadBuf::new(&mut self.piece[room]);
        ready!(self.reader.as_mut().poll_read(context, &mut target))?;
        let len = target.filled().len();
        self.ended = len == 0;
        match &mut self.remaining {
            None => self.frame(len),
            Some(remaining) => {
                *remaining = subtract(*remaining, len)?;
                self.ended |= *remaining == 0;
                self.unsent = FRAME_HEAD_LEN..FRAME_HEAD_LEN + len;
            }
        }
        Poll::Ready(Ok(!self.unsent.is_empty()))
    }

    /// Puts the length in front of a piece, or the end in its place.
    fn frame(&mut self, len: usize) {
        if len == 0 {
            self.piece[..FRAMES_END.len()].copy_from_slice(FRAMES_END);
            self.unsent = 0..FRAMES_END.len();
            return;
        }
        let mut head = [0; FRAME_HEAD_LEN];
        let mut rest = head.as_mut_slice();
        write!(rest, "{len:x}\r\n").expect("a length has at most 16 digits");
        let unused = rest.len();
        let head_len = FRAME_HEAD_LEN - unused;
        let end = FRAME_HEAD_LEN + len;
        self.piece[unused..FRAME_HEAD_LEN].copy_from_slice(&head[..head_len]);
        self.piece[end..end + FRAME_TAIL.len()].copy_from_slice(FRAME_TAIL);
        self.unsent = unused..end + FRAME_TAIL.len();
    }
}

/// How much is to come after `len` bytes of `remaining` came.
fn subtract(remaining: u64, len: usize) -> io::Result<u64> {
    if len == 0 && remaining > 0 {
        let text = format!("the source ended early, missing=`{remaining}`");
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    }
    remaining.checked_sub(len as u64).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the source is longer than was said")
    })
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const PIECE_LEN: usize = 1000;

    /// Takes a body apart as a connection does that writes at most `write_len` bytes at a time.
    async fn written(mut body: PutBody, write_len: usize) -> io::Result<Vec<u8>> {
        let mut written = Vec::new();
        while poll_fn(|context| body.poll_unsent(context, PIECE_LEN)).await? {
            let unsent = body.unsent(PIECE_LEN).concat();
            assert!(!unsent.is_empty());
            let len = unsent.len().min(write_len);
            written.extend_from_slice(&unsent[..len]);
            body.advance(len);
        }
        Ok(written)
    }

    fn some_bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 7) as u8).collect()
    }

    #[tokio::test]
    async fn bytes_are_written_in_pieces_however_little_the_connection_takes() {
        let bytes = some_bytes(3 * PIECE_LEN + 17);
        for write_len in [1, 999, 1000, usize::MAX] {
            assert!(written(PutBody::from(bytes.clone()), write_len).await.unwrap() == bytes);
            for cuts in [vec![28], vec![0, 1, 1, 700, 700, 2900], (0..bytes.len()).collect()] {
                let starts = [0].into_iter().chain(cuts.iter().copied());
                let ends = cuts.iter().copied().chain([bytes.len()]);
                let part = |(start, end): (usize, usize)| bytes[start..end].to_vec().into();
                let body = PutBody::of_parts(starts.zip(ends).map(part).collect());
                assert_eq!(body.len(), Some(bytes.len() as u64));
                assert!(body.unsent(PIECE_LEN).concat().len() <= PIECE_LEN);
                assert!(written(body, write_len).await.unwrap() == bytes);
            }
        }
        assert!(written(PutBody::empty(), 1).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_source_of_known_length_is_written_as_it_is() {
        for len in [0, 1, PIECE_LEN, 3 * PIECE_LEN + 17] {
            let bytes = some_bytes(len);
            let body = PutBody::reader(io::Cursor::new(bytes.clone()), Some(len as u64));
            assert_eq!(body.len(), Some(len as u64));
            assert!(written(body, 77).await.unwrap() == bytes, "{len}");
        }
    }

    #[tokio::test]
    async fn a_source_of_unknown_length_is_framed() {
        let body = PutBody::reader(io::Cursor::new(vec![b'x'; PIECE_LEN + 2]), None);
        assert_eq!(body.len(), None);
        let expected =
            [b"3e8\r\n".as_slice(), &[b'x'; PIECE_LEN], b"\r\n2\r\nxx\r\n0\r\n\r\n"].concat();
        assert!(written(body, 3).await.unwrap() == expected);
        let body = PutBody::reader(tokio::io::empty(), None);
        assert_eq!(written(body, 3).await.unwrap(), b"0\r\n\r\n");
    }

    #[tokio::test]
    async fn a_source_of_another_length_than_said_is_an_error() {
        let body = |len| PutBody::reader(io::Cursor::new(vec![1; 10]), Some(len));
        let error = |len| async move { written(body(len), 3).await.map_err(|error| error.kind()) };
        assert_eq!(error(11).await, Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(error(9).await, Err(io::ErrorKind::InvalidData));
        assert_eq!(error(10).await.unwrap().len(), 10);
    }
}
