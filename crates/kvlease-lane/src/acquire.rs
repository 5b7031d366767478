//! The calls of the fast lane on many keys.

use std::{
    borrow::Borrow,
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_api::lane::{Answer, DoneStatus, KeysWriter, LeaseStatus, Mode, Unfit};
use kvlease_types::Key;

use super::{
    Lane, LaneError, LaneLease, batch::Batch, connection::Connection,
    connection_state::ConnectionState, error::Fault, outcome::LaneRemoval,
};

/// Outcome of an acquire for one key.
#[derive(Debug)]
pub enum AcquireOutcome {
    /// It is leased.
    Leased(LaneLease),
    /// When the wait ended the object was still pending, or the arena had no room to load it from a
    /// tier.
    StillWriting,
    /// There is no such object.
    Absent,
    /// The daemon is at a limit.
    Full,
}

impl Lane {
    /// Leases objects for `ttl`, or for as long as the daemon grants. Those that are being written
    /// are waited for, at most `wait` for a frame. With `prefix` the answers end with the first key
    /// that cannot be leased.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`]; what was leased before is released.
    pub async fn acquire(
        &self,
        keys: &[impl Borrow<Key>],
        prefix: bool,
        wait: Duration,
        ttl: Duration,
        limit: Duration,
    ) -> Result<Vec<AcquireOutcome>, LaneError> {
        let acquire = async |connection: &mut Connection| {
            let mut found = Vec::with_capacity(keys.len());
            while found.len() < keys.len() {
                let rest = &keys[found.len()..];
                let asked = Instant::now();
                let write = |out: &mut Vec<u8>, request| {
                    let (bucket, mode) = (&self.core.bucket, mode(prefix));
                    let frame = KeysWriter::acquire(out, request, bucket, mode, wait, Some(ttl));
                    fill(frame, rest);
                };
                let before = found.len();
                let core = &self.core;
                let read = |answer: Answer<'_>, connection: &Arc<ConnectionState>| match answer {
                    Answer::Leases(leases) => {
                        let mut statuses = Vec::with_capacity(leases.len());
                        let life = (asked, ttl, leases.ttl);
                        let leases = leases.take(rest.len());
                        let batch = Batch::new((core, connection), life, leases, &mut statuses);
                        found.extend(AcquireOutcome::all(&batch, &statuses));
                        Ok(())
                    }
                    _ => Err(Fault::Protocol("no answer to an acquire".to_owned())),
                };
                connection.exchange(write, read).await?;
                let is_miss = |last: &AcquireOutcome| !matches!(last, AcquireOutcome::Leased(_));
                if prefix && found.last().is_some_and(is_miss) {
                    break;
                }
                ensure_progress(before, found.len())?;
            }
            Ok(found)
        };
        self.core.call(None, limit, acquire).await
    }

    /// Which objects there are. With `prefix` the answers end with the first that is not.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`].
    pub async fn exists(
        &self,
        keys: &[impl Borrow<Key>],
        prefix: bool,
        limit: Duration,
    ) -> Result<Vec<bool>, LaneError> {
        let found = self.ask(keys, prefix, limit, |out, request| {
            KeysWriter::exists(out, request, &self.core.bucket, mode(prefix))
        });
        Ok(found.await?.into_iter().map(|status| status == DoneStatus::Done).collect())
    }

    /// Removes objects.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`].
    pub async fn remove(
        &self,
        keys: &[impl Borrow<Key>],
        limit: Duration,
    ) -> Result<Vec<LaneRemoval>, LaneError> {
        let removed = self.ask(keys, false, limit, |out, request| {
            KeysWriter::remove(out, request, &self.core.bucket)
        });
        Ok(removed.await?.into_iter().map(LaneRemoval::of_remove).collect())
    }

    async fn ask(
        &self,
        keys: &[impl Borrow<Key>],
        prefix: bool,
        limit: Duration,
        begin: impl for<'o> Fn(&'o mut Vec<u8>, u64) -> KeysWriter<'o>,
    ) -> Result<Vec<DoneStatus>, LaneError> {
        let ask = async |connection: &mut Connection| {
            let mut done = Vec::with_capacity(keys.len());
            let is_miss = |last: &DoneStatus| *last != DoneStatus::Done;
            while done.len() < keys.len() && !(prefix && done.last().is_some_and(is_miss)) {
                let before = done.len();
                let rest = &keys[before..];
                let write = |out: &mut Vec<u8>, request| fill(begin(out, request), rest);
                let read = |answer: Answer<'_>, _: &_| match answer {
                    Answer::Done(statuses) => {
                        done.extend(statuses.take(rest.len()));
                        Ok(())
                    }
                    _ => Err(Fault::Protocol("no answer to a question".to_owned())),
                };
                connection.exchange(write, read).await?;
                ensure_progress(before, done.len())?;
            }
            Ok(done)
        };
        self.core.call(None, limit, ask).await
    }
}

impl AcquireOutcome {
    /// Outcome for each key of an answer, whose leases are in the batch.
    fn all(batch: &Arc<Batch>, statuses: &[LeaseStatus]) -> impl Iterator<Item = Self> {
        let mut slots = 0..;
        statuses.iter().map(move |status| match status {
            LeaseStatus::Granted => {
                let slot = slots.next().expect("a batch has fewer slots than numbers");
                Self::Leased(LaneLease::new(batch, slot))
            }
            LeaseStatus::TooManyLeases | LeaseStatus::MemoryShort => Self::Full,
            LeaseStatus::StillWriting => Self::StillWriting,
            LeaseStatus::Absent | LeaseStatus::Evicted => Self::Absent,
        })
    }
}

fn mode(prefix: bool) -> Mode {
    if prefix { Mode::Prefix } else { Mode::Each }
}

/// Ends a frame with as many of the keys as it holds.
fn fill(mut frame: KeysWriter<'_>, keys: &[impl Borrow<Key>]) {
    for key in keys {
        match frame.push(key.borrow().as_str()) {
            Ok(()) => {}
            Err(Unfit::Full) => break,
            Err(Unfit::Name(error)) => unreachable!("a key was checked when it was made: {error}"),
        }
    }
    frame.finish();
}

/// A frame that is answered for no key would be sent for ever.
fn ensure_progress(before: usize, after: usize) -> Result<(), Fault> {
    match after > before {
        true => Ok(()),
        false => Err(Fault::Protocol("an answer about no key".to_owned())),
    }
}
