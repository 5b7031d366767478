//! Stores of one object over HTTP, and of several together over the fast lane.

use std::{iter, thread, time::Duration};

use anyhow::bail;
use kvlease_api::lane::ReserveStatus;
use kvlease_harness::oracle::KeyState;
use kvlease_types::{ByteSize, Checksum, Key};
use tokio::{
    io::{AsyncWriteExt, duplex},
    time::sleep,
};

use crate::{
    clients::{Clients, Error, ErrorCode, Lane, LanePut, PutBody, PutOutcome, Reservation},
    counts::Count,
    limits::CALL_WITHIN,
};

/// Share of chunked bodies, in percent.
pub(crate) const CHUNKED_PERCENT: u64 = 30;

/// Share of stores that pause in the middle, in percent.
pub(crate) const SLOW_PERCENT: u64 = 15;

/// Most objects that are stored together over the fast lane.
pub(crate) const BATCH_MAX: u64 = 4;

/// Part of a body that is on its way to the connection at a time.
const PIPE_LEN: usize = 64 << 10;

/// Answer to a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Stored,
    Exists,
    NoSpace,
    /// The reservation was over before the commit.
    Late,
    /// The reservation was dropped or kept instead of committed.
    GivenUp,
}

impl Outcome {
    /// Changes what the oracle knows of the key. Returns whether an object was promised before one
    /// was stored.
    pub(crate) const fn apply(self, state: &mut KeyState) -> bool {
        match self {
            Self::Stored => state.stored(),
            _ => {
                state.refused();
                false
            }
        }
    }

    /// Kind that it counts as, if a store counts as `stored`.
    pub(crate) const fn count(self, stored: Count) -> Count {
        match self {
            Self::Stored => stored,
            Self::Exists => Count::Exists,
            Self::NoSpace => Count::NoSpace,
            Self::Late => Count::FilledLate,
            Self::GivenUp => Count::GivenUp,
        }
    }
}

/// Object to be stored over the fast lane.
#[derive(Debug)]
pub(crate) struct Filling {
    pub(crate) key: Key,
    pub(crate) bytes: Vec<u8>,
    /// Pause in the middle: kills hit the store then, and readers wait for it.
    pub(crate) pause: Duration,
    pub(crate) then: Then,
}

/// Fate of a reservation that was filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    Commit,
    /// It is dropped, which aborts it.
    GiveUp,
    /// It goes back to the caller.
    Keep,
}

/// Answers to stores over the fast lane.
#[derive(Default, Debug)]
pub(crate) struct Answers {
    /// One for each object.
    pub(crate) outcomes: Vec<Outcome>,
    /// Reservations to keep, with the position of the object.
    pub(crate) kept: Vec<(usize, Reservation)>,
}

/// Stores an object over HTTP.
pub(crate) async fn over_http(
    clients: &Clients,
    key: &Key,
    bytes: Vec<u8>,
    chunked: bool,
    pause: Duration,
) -> Result<Outcome, Error> {
    match clients.http.put(key, body(bytes, chunked, pause)).await {
        Ok(PutOutcome::Stored) => Ok(Outcome::Stored),
        Ok(PutOutcome::Exists) => Ok(Outcome::Exists),
        Err(Error::Refused { code: Some(ErrorCode::NoSpace), .. }) => Ok(Outcome::NoSpace),
        Err(error) => Err(error),
    }
}

/// Stores objects over the fast lane: reserves for all of them, fills them in the arena, commits
/// them. After an error any of them may be there.
pub(crate) async fn over_lane(lane: &Lane, objects: &[Filling]) -> anyhow::Result<Answers> {
    let len = |object: &Filling| ByteSize::new(object.bytes.len() as u64);
    let requested: Vec<_> = objects.iter().map(|object| (&object.key, len(object))).collect();
    let reserved = lane.reserve(&requested, CALL_WITHIN).await?;
    let mut answers = Answers::default();
    let (mut filled, mut positions) = (Vec::new(), Vec::new());
    for (position, (reserved, object)) in reserved.into_iter().zip(objects).enumerate() {
        let outcome = match reserved {
            Err(refusal) => outcome(refusal)?,
            Ok(reservation) => match (fill(&reservation, object), object.then) {
                (None, _) => Outcome::Late,
                (Some(_), Then::GiveUp) => Outcome::GivenUp,
                (Some(_), Then::Keep) => {
                    answers.kept.push((position, reservation));
                    Outcome::GivenUp
                }
                (Some(checksum), Then::Commit) => {
                    filled.push((reservation, checksum));
                    positions.push(position);
                    // Replaced by the answer to the commit.
                    Outcome::Stored
                }
            },
        };
        answers.outcomes.push(outcome);
    }
    let committed = lane.commit(filled, CALL_WITHIN).await?;
    for (position, answer) in positions.into_iter().zip(committed) {
        answers.outcomes[position] = outcome(answer)?;
    }
    Ok(answers)
}

fn outcome(answer: LanePut) -> anyhow::Result<Outcome> {
    Ok(match answer {
        LanePut::Stored => Outcome::Stored,
        LanePut::Exists => Outcome::Exists,
        LanePut::Expired => Outcome::Late,
        LanePut::Refused(ReserveStatus::NoSpace) => Outcome::NoSpace,
        LanePut::Refused(status) => bail!("the daemon refuses to reserve, status=`{status:?}`"),
    })
}

/// Writes an object into its reservation. `None` if the reservation ended first.
fn fill(reservation: &Reservation, object: &Filling) -> Option<Checksum> {
    let (first, second) = object.bytes.split_at(object.bytes.len() / 2);
    let second = iter::once_with(|| {
        thread::sleep(object.pause);
        second
    });
    reservation.fill(iter::once(first).chain(second))
}

/// Body, chunked or with its length, that pauses in the middle.
fn body(bytes: Vec<u8>, chunked: bool, pause: Duration) -> PutBody {
    if !chunked && pause.is_zero() {
        return PutBody::from(bytes);
    }
    let len = (!chunked).then_some(bytes.len() as u64);
    let (mut source, sink) = duplex(PIPE_LEN);
    tokio::spawn(async move {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        // A write fails only after the upload was refused: its rest has no reader.
        let _ = source.write_all(first).await;
        sleep(pause).await;
        let _ = source.write_all(second).await;
    });
    PutBody::reader(sink, len)
}
