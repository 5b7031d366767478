//! Values that are read from their source while they are sent.
//!
//! So a chunk is in the processor's cache when it goes into the socket, and a value takes the memory of a few
//! chunks. The last bytes are sent only if all of them are the object's: without them the store has no
//! value. The library, which signs requests and repeats them, gets the length of a value alone. Its requests
//! carry the value as an extension, from where the HTTP client takes the bytes.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use kvlease_tier::{SourceChanged, Stat};
use object_store::PutPayload;

use crate::{
    chunks::CHUNK_LEN,
    delivery::{Intake, STRETCH},
    head::Head,
};

/// Memory that a value takes on its way: what the HTTP client collects for the socket.
pub(super) const IN_FLIGHT: u64 = 1 << 20;

/// Value of a call. Dropping it ends the requests that send it, and drops the source.
#[derive(Debug)]
pub(super) struct Sending(Streamed);

/// The same, for the requests of the call.
#[derive(Clone, Debug)]
pub(super) struct Streamed(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    first: Bytes,
    stat: Stat,
    /// `None` once the call is over.
    intake: Option<Intake>,
    /// Number of the request that reads the source; each begins with the first byte.
    request: usize,
    is_changed: bool,
}

/// Reason why a value is not sent to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NotSent {
    /// The bytes are the object's no longer.
    #[error(transparent)]
    Changed(#[from] SourceChanged),
    /// The call is over, or another request of it reads the source.
    #[error("the request is over")]
    Over,
    /// The source is read once, and a request failed.
    #[error("the bytes cannot be sent a second time")]
    Once,
}

impl Sending {
    /// The value of an object whose bytes are an intake's.
    pub(super) fn new(head: &Head, intake: Intake) -> Self {
        let (first, stat) = (Bytes::from(head.encode()), head.stat);
        let state = State { first, stat, intake: Some(intake), request: 0, is_changed: false };
        Self(Streamed(Arc::new(Mutex::new(state))))
    }

    /// The value for the requests.
    pub(super) fn shared(&self) -> Streamed {
        self.0.clone()
    }

    /// Whether the value was not sent because it changed.
    pub(super) fn is_changed(&self) -> bool {
        self.0.is_changed()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let intake = self.0.state().intake.take();
        // Without the lock: a request may wait for it.
        drop(intake);
    }
}

impl Streamed {
    /// Whether the value was not sent because it changed.
    pub(super) fn is_changed(&self) -> bool {
        self.state().is_changed
    }

    /// The body of a request. It takes the source from the request before, if there was one.
    pub(super) fn body(&self) -> Result<StreamedBody, NotSent> {
        let mut state = self.state();
        let is_again = state.request > 0;
        let intake = state.intake.as_mut().ok_or(NotSent::Over)?;
        if is_again && !intake.rewind() {
            return Err(NotSent::Once);
        }
        state.request += 1;
        let (request, left) = (state.request, state.stat.len.bytes());
        let first = Some(state.first.clone());
        Ok(StreamedBody { value: self.clone(), request, first, left, stretch: 0 })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next bytes, of which `left` are left.
    fn next(&mut self, request: usize, left: u64) -> Result<Bytes, NotSent> {
        let intake = self.intake.as_mut().filter(|_| self.request == request);
        let intake = intake.ok_or(NotSent::Over)?;
        let len = usize::try_from(left).map_or(CHUNK_LEN, |left| left.min(CHUNK_LEN));
        let next = intake.next(len).and_then(|bytes| {
            let is_last = len as u64 == left;
            if is_last { intake.check(self.stat).map(|()| bytes) } else { Ok(bytes) }
        });
        self.is_changed |= next.is_err();
        Ok(next?)
    }
}

/// Body of a request that sends a value.
#[derive(Debug)]
pub(super) struct StreamedBody {
    value: Streamed,
    request: usize,
    first: Option<Bytes>,
    /// Bytes of the object that are left.
    left: u64,
    /// Bytes that were copied since other tasks could run.
    stretch: usize,
}

impl Body for StreamedBody {
    type Data = Bytes;
    type Error = NotSent;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NotSent>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if this.left == 0 {
            return Poll::Ready(None);
        }
        if this.stretch >= STRETCH {
            this.stretch = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = this.value.state().next(this.request, this.left);
        if let Ok(bytes) = &next {
            this.left -= bytes.len() as u64;
            this.stretch += bytes.len();
        }
        Poll::Ready(Some(next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left + self.first.as_ref().map_or(0, |first| first.len() as u64))
    }
}

/// Bytes of this length for the library, which does not look at them.
pub(super) fn stand_in(len: u64) -> PutPayload {
    static ZEROS: [u8; CHUNK_LEN] = [0; CHUNK_LEN];
    let (whole, rest) = (len / CHUNK_LEN as u64, (len % CHUNK_LEN as u64) as usize);
    let chunks = (0..whole).map(|_| Bytes::from_static(&ZEROS));
    chunks.chain([Bytes::from_static(&ZEROS[..rest])]).collect()
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use kvlease_sys::Digest;
    use kvlease_tier::Name;
    use kvlease_tier_conformance::MemorySource;
    use kvlease_types::{BucketName, ByteSize, Key};

    use super::*;
    use crate::chunks::Chunks;

    const LEN: usize = 4 * CHUNK_LEN + 7;

    fn pattern() -> Vec<u8> {
        (0..LEN).map(|at| (at % 251) as u8).collect()
    }

    fn sending(rewinds: bool, of: &[u8]) -> (Sending, Vec<u8>) {
        let name = Name { bucket: BucketName::new("b").unwrap(), key: Key::new("k").unwrap() };
        let stat = Stat { len: ByteSize::new(LEN as u64), checksum: Digest::of(of) };
        let head = Head { name, stat, piece_len: 0 };
        let source = MemorySource::new(pattern().into());
        let source = if rewinds { source } else { source.once() };
        let intake = Intake::new(Box::new(source), &Chunks::default());
        (Sending::new(&head, intake), [head.encode(), pattern()].concat())
    }

    /// Frames of a body up to its end or an error, at most `max`.
    fn frames(body: &mut StreamedBody, max: usize) -> (Vec<u8>, Option<NotSent>) {
        let (mut bytes, mut count) = (Vec::new(), 0);
        let mut context = Context::from_waker(Waker::noop());
        while count < max {
            match Pin::new(&mut *body).poll_frame(&mut context) {
                Poll::Ready(Some(Ok(frame))) => {
                    bytes.extend_from_slice(&frame.into_data().unwrap());
                    count += 1;
                }
                Poll::Ready(Some(Err(error))) => return (bytes, Some(error)),
                Poll::Ready(None) => break,
                // Other tasks may run.
                Poll::Pending => {}
            }
        }
        (bytes, None)
    }

    #[test]
    fn a_second_request_sends_the_whole_value_and_the_first_ends() {
        let (sending, value) = sending(true, &pattern());
        let mut first = sending.shared().body().unwrap();
        assert_eq!(first.size_hint().exact(), Some(value.len() as u64));
        let (start, _) = frames(&mut first, 3);
        assert!(!start.is_empty() && value.starts_with(&start));
        let mut second = sending.shared().body().unwrap();
        assert_eq!(frames(&mut first, 1), (Vec::new(), Some(NotSent::Over)));
        assert_eq!(frames(&mut second, usize::MAX), (value, None));
        assert!(second.is_end_stream() && !sending.is_changed());
        let mut third = sending.shared().body().unwrap();
        frames(&mut third, 2);
        drop(sending);
        assert_eq!(frames(&mut third, 1), (Vec::new(), Some(NotSent::Over)));
    }

    #[test]
    fn a_source_that_is_read_once_is_sent_once() {
        let (sending, value) = sending(false, &pattern());
        let mut body = sending.shared().body().unwrap();
        assert_eq!(frames(&mut body, usize::MAX), (value, None));
        assert_eq!(sending.shared().body().unwrap_err(), NotSent::Once);
    }

    #[test]
    fn the_last_bytes_of_another_object_are_not_sent() {
        let (sending, value) = sending(true, b"other bytes");
        let (sent, error) = frames(&mut sending.shared().body().unwrap(), usize::MAX);
        assert_eq!(error, Some(NotSent::Changed(SourceChanged)));
        assert!(sent.len() < value.len() && value.starts_with(&sent));
        assert!(sending.is_changed());
    }

    #[test]
    fn the_stand_in_has_the_length() {
        for len in [0, 1, CHUNK_LEN, CHUNK_LEN + 1, 3 * CHUNK_LEN] {
            assert_eq!(stand_in(len as u64).content_length(), len);
        }
    }
}
