//! Calls that every kind of client has.

use std::time::Duration;

use super::shared::Spell;

/// Result of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Put {
    Stored,
    /// It was refused, and has had no effect.
    Refused,
    /// It failed, or may have had an effect.
    Failed(String),
}

/// Result of a read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Got {
    Bytes(Vec<u8>),
    Absent,
    /// The lease ended first, so that the bytes do not count.
    Late,
    Failed(String),
}

/// Calls of a kind of client. Each returns within [`Self::limit`].
pub(super) trait Calls {
    /// Longest time of a call, with everything that it is made of.
    fn limit(&self) -> Duration;
    /// Makes the client anew: it has neither connection nor mapping.
    fn anew(&mut self) -> anyhow::Result<()>;
    fn put(&mut self, key: &str, bytes: Vec<u8>) -> Put;
    fn get(&mut self, spell: Spell, key: &str) -> Got;
    /// True if it was answered.
    fn remove(&mut self, key: &str) -> bool;
    fn exists(&mut self, key: &str) -> Result<bool, String>;
    /// True if bytes count only if the daemon did not change during the call: the client maps by
    /// name, and checks nothing.
    fn maps_by_name(&self) -> bool;
    /// True if it reads objects by the published index, also that of a daemon that has ended, until it
    /// asks.
    fn reads_without_asking(&self) -> bool;
    /// Reason why it does not work at full function although its calls succeed.
    fn lack(&self) -> Option<String>;
}
