//! Reasons why an answer is not HTTP as this client takes it.

/// The longest head, in bytes.
pub(crate) const HEAD_LEN_MAX: usize = 32 << 10;

/// Reason why an answer is not HTTP as this client takes it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("not http: {0}")]
    Http(#[from] httparse::Error),
    #[error("a head of more than `{HEAD_LEN_MAX}` bytes")]
    LongHead,
    #[error("an answer before the answer that is none, status=`{0}`")]
    Interim(u16),
    #[error("no content length: `{0}`")]
    Length(String),
    #[error("a transfer encoding that the client did not ask for: `{0}`")]
    Encoding(String),
    #[error("both a content length and a transfer encoding")]
    TwoFramings,
    #[error("the chunked encoding is broken")]
    Frames,
}
