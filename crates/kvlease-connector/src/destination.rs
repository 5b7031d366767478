//! Memory that a read writes into.

use std::slice;

use kvlease_sys::ExternalBuffer;

/// Memory of a read: one buffer, or several that an object fills one after the other.
#[derive(Debug)]
pub enum Destination {
    /// One buffer.
    Whole(ExternalBuffer),
    /// Several, in their order.
    Scattered(Vec<ExternalBuffer>),
}

impl Destination {
    /// Length of all buffers together.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Whole(buffer) => buffer.len(),
            Self::Scattered(buffers) => buffers.iter().map(ExternalBuffer::len).sum(),
        }
    }

    /// The buffers in their order.
    pub(super) fn parts(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let buffers = match self {
            Self::Whole(buffer) => slice::from_mut(buffer),
            Self::Scattered(buffers) => buffers,
        };
        buffers.iter_mut().map(AsMut::as_mut)
    }
}

impl From<ExternalBuffer> for Destination {
    fn from(buffer: ExternalBuffer) -> Self {
        Self::Whole(buffer)
    }
}

impl From<Vec<ExternalBuffer>> for Destination {
    fn from(mut buffers: Vec<ExternalBuffer>) -> Self {
        match buffers.pop() {
            Some(only) if buffers.is_empty() => Self::Whole(only),
            last => {
                buffers.extend(last);
                Self::Scattered(buffers)
            }
        }
    }
}
