//! Bytes that hold what was taken for them.

use bytes::Bytes;

/// Bytes with the memory that was taken for them, until both have been sent.
struct Accounted<H> {
    bytes: Bytes,
    _held: H,
}

impl<H> AsRef<[u8]> for Accounted<H> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The bytes, which hold the memory as long as they live.
pub(super) fn accounted<H: Send + 'static>(bytes: Bytes, held: H) -> Bytes {
    Bytes::from_owner(Accounted { bytes, _held: held })
}
