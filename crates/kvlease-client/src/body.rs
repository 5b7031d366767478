//! Request bodies: nothing, bytes, or a source that is read while it is sent.

use std::{
    error::Error as StdError,
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

/// How much is read from a source at a time.
const PIECE_LEN: usize = 256 << 10;

/// The bytes of an object to store.
pub struct PutBody(Kind);

enum Kind {
    Empty,
    Bytes(Bytes),
    Source(Source),
}

struct Source {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    remaining: Option<u64>,
    piece: BytesMut,
    ended: bool,
}

impl PutBody {
    /// Everything that `reader` gives until its end. `len` in bytes is sent ahead if it is known,
    /// and then the source must give exactly as much; if not, chunked encoding is used.
    pub fn reader(reader: impl AsyncRead + Send + 'static, len: Option<u64>) -> Self {
        Self(Kind::Source(Source {
            reader: Box::pin(reader),
            remaining: len,
            piece: BytesMut::new(),
            ended: false,
        }))
    }

    /// No body at all.
    pub(crate) fn empty() -> Self {
        Self(Kind::Empty)
    }
}

impl<T: Into<Bytes>> From<T> for PutBody {
    fn from(bytes: T) -> Self {
        Self(Kind::Bytes(bytes.into()))
    }
}

impl fmt::Debug for PutBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutBody").field("size", &http_body::Body::size_hint(self)).finish()
    }
}

impl http_body::Body for PutBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Source(source) => source.poll_piece(context).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Bytes(bytes) => bytes.is_empty(),
            Kind::Source(source) => source.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Source(source) => {
                source.remaining.map_or_else(SizeHint::new, SizeHint::with_exact)
            }
        }
    }
}

impl Source {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.piece.len() < PIECE_LEN {
            self.piece.resize(PIECE_LEN, 0);
        }
        let mut target = ReadBuf::new(&mut self.piece);
        ready!(self.reader.as_mut().poll_read(context, &mut target))?;
        let len = target.filled().len();
        if len == 0 {
            self.ended = true;
            return Poll::Ready(match self.remaining {
                None | Some(0) => None,
                Some(missing) => Some(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the source ended early, missing=`{missing}`"),
                ))),
            });
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.checked_sub(len as u64).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "the source is longer than was said")
            })?;
            self.ended = *remaining == 0;
        }
        Poll::Ready(Some(Ok(self.piece.split_to(len).freeze())))
    }
}

/// Finds the error of a put's source within the error that the HTTP layer made of it.
pub(crate) fn source_error(error: &hyper::Error) -> Option<io::Error> {
    if !error.is_user() {
        return None;
    }
    let source = error.source()?.downcast_ref::<io::Error>()?;
    Some(io::Error::new(source.kind(), source.to_string()))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn collect(body: PutBody) -> io::Result<Vec<u8>> {
        Ok(body.collect().await?.to_bytes().to_vec())
    }

    #[tokio::test]
    async fn a_source_is_sent_whole_with_or_without_its_length() {
        let bytes: Vec<u8> = (0..3 * PIECE_LEN + 17).map(|i| (i * 7) as u8).collect();
        for len in [None, Some(bytes.len() as u64)] {
            let body = PutBody::reader(io::Cursor::new(bytes.clone()), len);
            assert_eq!(http_body::Body::size_hint(&body).exact(), len);
            assert!(collect(body).await.unwrap() == bytes, "len {len:?}");
        }
    }

    #[tokio::test]
    async fn a_source_of_another_length_than_said_is_an_error() {
        let body = |len| PutBody::reader(io::Cursor::new(vec![1; 10]), Some(len));
        assert_eq!(collect(body(11)).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(collect(body(9)).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(collect(body(10)).await.unwrap().len(), 10);
    }
}
