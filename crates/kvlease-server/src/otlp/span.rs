//! Spans of traces: work with a begin, an end, and a name.

use std::time::{Duration, SystemTime};

/// Place of a span in its trace, while its work is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    /// The trace, never zero.
    pub(super) trace: u128,
    /// The span, never zero.
    pub(super) id: u64,
    /// The span that it is a part of; zero for none.
    pub(super) parent: u64,
    /// Whether that is of another process.
    pub(super) is_joined: bool,
}

impl Span {
    /// A new part of this span.
    pub(super) fn part(self) -> Self {
        Self { id: random_id(), parent: self.id, is_joined: false, ..self }
    }
}

/// A new id, which is not zero.
pub(super) fn random_id() -> u64 {
    fastrand::u64(1..)
}

/// Role of a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SpanKind {
    /// It answers a client.
    Server,
    /// It calls a store.
    Client,
}

/// Value of an attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Attribute {
    /// A word of the daemon's own.
    Word(&'static str),
    /// Another text.
    Text(String),
    /// A whole number.
    Number(u64),
}

impl From<&'static str> for Attribute {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// Span whose work has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SpanRecord {
    pub(crate) span: Span,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) ended: SystemTime,
    pub(crate) took: Duration,
    pub(crate) attributes: Vec<(&'static str, Attribute)>,
    /// Whether the daemon, or a store, failed in it.
    pub(crate) failed: bool,
}
