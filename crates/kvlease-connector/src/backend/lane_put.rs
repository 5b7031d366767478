//! Puts over the fast lane: objects are written straight into the arena.
//!
//! One frame reserves space for a group of objects, each is copied with its checksum, and one frame
//! commits them. Where open reservations have their share, a part of a group is refused. What was
//! granted is committed, which makes room in the share, and the others are tried again as long as
//! that helps; the rest is left to HTTP, which reserves nothing.
//!
//! A single small object goes into space that was reserved ahead of need, if there is some.

use std::time::{Duration, Instant};

use kvlease_api::{ErrorCode, lane::ReserveStatus};
use kvlease_http::{Error, PutBody, PutOutcome, PutParts};
use kvlease_lane::{LaneError, LanePut, Post, Reservation};
use kvlease_types::{ByteSize, Checksum, Key};
use smallvec::SmallVec;

use super::{api::PartialAnswers, lane::LaneBackend};

/// How many objects, and how many of their bytes, are reserved for at a time: reserved space is of no
/// use to other writers.
const GROUP_MAX: usize = 128;
const GROUP_LEN_MAX: u64 = 128 << 20;

/// Objects that together are up to this long are copied on the thread of the call: another thread
/// would have begun no sooner than the copy is done.
const COPY_HERE_LEN_MAX: u64 = 1 << 20;

/// Part of a call's time limit that is kept for a commit, however long the copies before it took.
const COMMIT_PART: u32 = 4;

/// How often an object is tried that is refused for the share of open reservations.
const TRIES_MAX: usize = 4;

/// Object of a batch.
#[derive(Clone)]
struct Item<'k> {
    /// Its place in the batch.
    place: usize,
    key: &'k Key,
    parts: PutParts,
}

impl Item<'_> {
    fn len(&self) -> ByteSize {
        len_of(&self.parts)
    }

    fn answer(&self, outcome: LanePut) -> Result<PutOutcome, Error> {
        put_outcome(outcome, self.key, self.len())
    }
}

impl LaneBackend {
    /// Stores the objects of a batch up to the first whose body is not in memory. Those behind it,
    /// and those that get no reservation, are left unanswered; all of them if the lane breaks.
    pub(super) fn put_in_memory(
        &self,
        objects: &[(&Key, PutBody)],
    ) -> impl Future<Output = PartialAnswers<PutOutcome>> + Send {
        // Here, since a future with a reference to bodies could not be sent to another thread.
        let items = objects
            .iter()
            .enumerate()
            .map_while(|(place, (key, body))| Some(Item { place, key, parts: body.in_memory()? }));
        self.put_items(items.collect(), objects.len())
    }

    /// Stores the first objects of a batch of `batch_len`.
    async fn put_items(
        &self,
        mut items: Vec<Item<'_>>,
        batch_len: usize,
    ) -> PartialAnswers<PutOutcome> {
        let mut answers: PartialAnswers<_> = (0..batch_len).map(|_| None).collect();
        let count = items.len();
        if let [item] = &items[..] {
            match self.put_one(item).await {
                Ok(Some(outcome)) => answers[item.place] = Some(item.answer(outcome)),
                // It goes the way of a batch.
                Ok(None) => {}
                Err(error) => self.fail(&error, &mut answers[..count]),
            }
            if answers[item.place].is_some() || self.lane.is_broken() {
                return answers;
            }
        }
        for _ in 0..TRIES_MAX {
            let before = items.len();
            items = match self.put_groups(&items, &mut answers).await {
                Ok(limited) => limited,
                Err(error) => {
                    self.fail(&error, &mut answers[..count]);
                    break;
                }
            };
            // If nothing was stored, another try would find the same.
            if items.is_empty() || items.len() == before {
                break;
            }
        }
        answers
    }

    /// Answers the puts that the lane failed for, by time-outs or not at all.
    fn fail(&self, error: &LaneError, answers: &mut [Option<Result<PutOutcome, Error>>]) {
        let unanswered: Vec<_> = answers.iter_mut().filter(|answer| answer.is_none()).collect();
        let failed = self.failed(error, "put", unanswered.len());
        unanswered.into_iter().zip(failed).for_each(|(at, answer)| *at = Some(answer));
    }

    /// Stores one object without an exchange if the published index names it, and with one if there is
    /// space that was reserved ahead of need. `None` if there is none.
    async fn put_one(&self, item: &Item<'_>) -> Result<Option<LanePut>, LaneError> {
        if self.lane.indexed_len(item.key.as_str()).is_some() {
            return Ok(Some(LanePut::Exists));
        }
        let parts: SmallVec<[&[u8]; 2]> = item.parts.iter().map(AsRef::as_ref).collect();
        let stored = self.lane.store(item.key, &parts, self.limit()).await?;
        Ok(stored.filter(|outcome| matches!(outcome, LanePut::Stored | LanePut::Exists)))
    }

    /// Posts one object, if there is space that was reserved ahead of need and the published index does
    /// not name the key. False if it is to be stored as others are.
    pub(crate) async fn post(
        &self,
        key: &Key,
        parts: &PutParts,
        post: Post<'_>,
    ) -> Result<bool, Error> {
        if self.lane.indexed_len(key.as_str()).is_some() {
            return Ok(false);
        }
        let parts: SmallVec<[&[u8]; 2]> = parts.iter().map(AsRef::as_ref).collect();
        let posted = self.lane.post(key, &parts, post, self.limit()).await;
        // A lane that broke leaves the object to the next backend, as for a put.
        posted.or_else(|error| self.failed(&error, "put", 1).pop().unwrap_or(Ok(false)))
    }

    /// Stores objects group by group and answers them in their places. Returns those that got no
    /// reservation; fails if the lane broke.
    async fn put_groups<'k>(
        &self,
        items: &[Item<'k>],
        answers: &mut PartialAnswers<PutOutcome>,
    ) -> Result<Vec<Item<'k>>, LaneError> {
        let (mut limited, mut rest) = (Vec::new(), items);
        while !rest.is_empty() {
            let outcomes = self.put_group(group(rest)).await?;
            // A frame takes one object at least.
            let (done, behind) = rest.split_at(outcomes.len().max(1));
            for (item, outcome) in done.iter().zip(outcomes) {
                match outcome {
                    LanePut::Refused(ReserveStatus::TooManyReservations) => {
                        limited.push(item.clone());
                    }
                    outcome => answers[item.place] = Some(item.answer(outcome)),
                }
            }
            rest = behind;
        }
        Ok(limited)
    }

    /// Stores as many objects of a group as space is reserved for; fails if the lane broke.
    async fn put_group(&self, group: &[Item<'_>]) -> Result<Vec<LanePut>, LaneError> {
        let (limit, started) = (self.limit(), Instant::now());
        let requested: Vec<_> = group.iter().map(|item| (item.key, item.len())).collect();
        let reserved = self.lane.reserve(&requested, limit).await?;
        // Reserved space is filled; what was refused has its outcome already.
        let mut outcomes = Vec::with_capacity(reserved.len());
        let mut to_fill = Vec::new();
        for (reserved, item) in reserved.into_iter().zip(group) {
            outcomes.push(reserved.as_ref().err().copied());
            if let Ok(reservation) = reserved {
                to_fill.push((reservation, item.parts.clone()));
            }
        }
        let filled = self.fill(to_fill).await;
        // What was not filled in time has expired; the rest is committed together.
        let is_filled: Vec<bool> = filled.iter().map(Option::is_some).collect();
        let filled: Vec<_> = filled.into_iter().flatten().collect();
        let limit = limit.saturating_sub(started.elapsed()).max(limit / COMMIT_PART);
        let mut committed = self.commit(filled, limit).await?.into_iter();
        // Each reservation's outcome, in the order of the group.
        let mut is_filled = is_filled.into_iter();
        let mut of_reservation = || match is_filled.next() {
            Some(true) => committed.next().unwrap_or(LanePut::Expired),
            _ => LanePut::Expired,
        };
        let outcomes = outcomes.into_iter();
        Ok(outcomes.map(|refused| refused.unwrap_or_else(&mut of_reservation)).collect())
    }

    async fn commit(
        &self,
        filled: Vec<(Reservation, Checksum)>,
        limit: Duration,
    ) -> Result<Vec<LanePut>, LaneError> {
        if filled.is_empty() { Ok(Vec::new()) } else { self.lane.commit(filled, limit).await }
    }

    /// Copies objects into their reserved space, on the threads for copies if they are long. The
    /// reservation of an object that was not copied in time is gone.
    async fn fill(
        &self,
        objects: Vec<(Reservation, PutParts)>,
    ) -> Vec<Option<(Reservation, Checksum)>> {
        let len: u64 = objects.iter().map(|(_, parts)| len_of(parts).bytes()).sum();
        if len <= COPY_HERE_LEN_MAX {
            return objects.into_iter().map(fill).collect();
        }
        let copies = objects.into_iter().map(|object| self.copier.run(move || fill(object)));
        futures_util::future::join_all(copies).await
    }
}

fn fill((reservation, parts): (Reservation, PutParts)) -> Option<(Reservation, Checksum)> {
    let checksum = reservation.fill(parts.iter().map(AsRef::as_ref))?;
    Some((reservation, checksum))
}

/// The first objects, as many as make a group.
fn group<'a, 'k>(items: &'a [Item<'k>]) -> &'a [Item<'k>] {
    let mut len = 0;
    let fits = |item: &&Item<'_>| {
        len += item.len().bytes();
        len <= GROUP_LEN_MAX
    };
    let count = items.iter().take(GROUP_MAX).take_while(fits).count();
    &items[..count.max(1)]
}

fn len_of(parts: &PutParts) -> ByteSize {
    ByteSize::new(parts.iter().map(|part| part.len() as u64).sum())
}

/// The answer that HTTP gives to the same put.
pub(crate) fn put_outcome(outcome: LanePut, key: &Key, len: ByteSize) -> Result<PutOutcome, Error> {
    let (code, what) = match outcome {
        LanePut::Stored => return Ok(PutOutcome::Stored),
        LanePut::Exists => return Ok(PutOutcome::Exists),
        LanePut::Expired => {
            (ErrorCode::BodyIncomplete, "the object was not copied before its reservation expired")
        }
        LanePut::Refused(ReserveStatus::TooLarge) => {
            (ErrorCode::TooLarge, "the object is larger than the daemon takes")
        }
        LanePut::Refused(ReserveStatus::NoSpace) => (
            ErrorCode::NoSpace,
            "only leased, quarantined and pending objects are left, or the arena is still being \
             populated",
        ),
        LanePut::Refused(_) => (ErrorCode::Unavailable, "the daemon is at a limit"),
    };
    let message = format!("{what}, key=`{key}` len=`{len}`");
    let (status, code) = (code.status(), Some(code));
    Err(Error::Refused { operation: "put", status, code, message, request_id: None })
}
