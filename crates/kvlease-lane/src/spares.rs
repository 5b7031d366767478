//! Spare reservations of one connection: space that was reserved ahead of need, for objects as long as
//! those that were stored lately.
//!
//! A connection asks for them behind a commit, so that no exchange is spent on them. They are few, and
//! those that are not used for a while are given back, as all of them are when the daemon has no more.

use std::time::{Duration, Instant};

use kvlease_api::lane::{Answer, FailureCode, PrepareWriter, ReservationRecord, ReserveStatus};
use kvlease_types::{ByteSize, Extent};

use super::connection_state::ConnectionState;

/// The longest object that is stored that way. The copy of a longer one takes far longer than the
/// exchange that a spare reservation saves.
pub(super) const SPARE_LEN_MAX: u64 = 1 << 20;

/// The most spare reservations of a connection, and the most bytes of them.
const SPARES_MAX: usize = 16;
const SPARES_LEN_MAX: u64 = 8 << 20;

/// Lengths that a connection has spare reservations of at the same time.
const CLASSES_MAX: usize = 4;

/// Multiple that lengths are rounded up to: the daemon gives out space in units of this size.
const GRAIN: u64 = 4 << 10;

/// Time without a put of a length, after which its spare reservations are given back.
pub(super) const IDLE: Duration = Duration::from_secs(1);

/// Time for which the daemon is not asked after it had no space.
const PAUSE: Duration = Duration::from_millis(100);

/// Time that has to be left for a copy and a commit.
const LEFT_MIN: Duration = Duration::from_secs(1);

/// The spare reservations of one connection.
#[derive(Default, Debug)]
pub(super) struct Spares {
    /// The length that was used last comes first.
    classes: Vec<Class>,
    /// Question whose answer is to come.
    asked: Option<Asked>,
    /// Until when the daemon is not asked.
    paused: Option<Instant>,
    /// The daemon is of a release before spare reservations.
    is_unknown: bool,
}

/// Spare reservations of one length.
#[derive(Debug)]
struct Class {
    len: u64,
    /// How many of them there should be.
    wanted: usize,
    spares: Vec<Spare>,
    /// When an object of this length was stored last.
    used: Instant,
}

/// Space for an object of a length, whose key comes with the commit.
#[derive(Debug)]
pub(super) struct Spare {
    /// Name of the reservation, on its connection.
    pub(super) write: u64,
    pub(super) extents: Vec<Extent>,
    pub(super) deadline: Instant,
}

/// Question for spare reservations.
#[derive(Debug)]
struct Asked {
    request: u64,
    len: u64,
    /// How many of this length there were.
    held: usize,
    /// When it left.
    at: Instant,
}

impl Spares {
    /// Takes one for an object of this length, and notes that there was such an object.
    pub(super) fn take(
        &mut self,
        len: u64,
        now: Instant,
        state: &ConnectionState,
    ) -> Option<Spare> {
        if self.is_unknown {
            return None;
        }
        self.end_idle(now, state);
        let class = self.use_class(rounded(len), now, state)?;
        while let Some(spare) = class.spares.pop() {
            if spare.deadline > now + LEFT_MIN {
                return Some(spare);
            }
            state.give_up(spare.write);
        }
        class.want_more();
        None
    }

    /// Whether there is none for an object of this length, which was used lately.
    pub(super) fn lacks(&self, len: u64) -> bool {
        self.classes.iter().any(|class| class.len == rounded(len) && class.spares.is_empty())
    }

    /// Whether the answer to a question is to come.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether there is none for an object of this length, and some are to come.
    pub(super) fn awaits(&self, len: u64) -> bool {
        self.lacks(len) && self.asked.as_ref().is_some_and(|asked| asked.len == rounded(len))
    }

    /// A put waits for those that are to come: more of them would be of use.
    pub(super) fn want_more(&mut self, len: u64) {
        self.class_mut(len).into_iter().for_each(Class::want_more);
    }

    /// The spare reservations of a length that is used now; `None` if it was not used lately.
    fn use_class(&mut self, len: u64, now: Instant, state: &ConnectionState) -> Option<&mut Class> {
        let place = self.classes.iter().position(|class| class.len == len);
        match place {
            Some(place) => self.classes[..=place].rotate_right(1),
            None => {
                while self.classes.len() >= CLASSES_MAX {
                    self.give_back_last(state);
                }
                self.classes.insert(0, Class { len, wanted: 0, spares: Vec::new(), used: now });
            }
        }
        let class = &mut self.classes[0];
        class.used = now;
        place.map(|_| class)
    }

    /// Puts one back that was not used.
    pub(super) fn put_back(&mut self, len: u64, spare: Spare, state: &ConnectionState) {
        match self.class_mut(len) {
            Some(class) => class.spares.push(spare),
            None => state.give_up(spare.write),
        }
    }

    /// Appends a question for as many as are wanted of the length that was used last. Returns whether
    /// there is one.
    pub(super) fn write_question(
        &mut self,
        out: &mut Vec<u8>,
        request: u64,
        now: Instant,
        state: &ConnectionState,
    ) -> bool {
        let is_paused = self.paused.is_some_and(|until| now < until);
        if self.is_unknown || self.asked.is_some() || is_paused {
            return false;
        }
        let Some(class) = self.classes.first() else { return false };
        // Half of them may be used before the daemon is asked for more.
        if class.spares.len() > class.wanted / 2 {
            return false;
        }
        let (len, held) = (class.len, class.spares.len());
        let count = class.wanted.saturating_sub(held);
        if count == 0 {
            return false;
        }
        while self.held() + count as u64 * len > SPARES_LEN_MAX && self.classes.len() > 1 {
            self.give_back_last(state);
        }
        let mut frame = PrepareWriter::begin(out, request);
        for _ in 0..count {
            frame.push(ByteSize::new(len)).expect("fewer are wanted than a frame has room for");
        }
        frame.finish();
        self.asked = Some(Asked { request, len, held, at: now });
        true
    }

    /// Takes the answer to a question. Returns false if it is that of another request.
    pub(super) fn take_answer(
        &mut self,
        request: u64,
        answer: &Answer<'_>,
        state: &ConnectionState,
    ) -> bool {
        let Some(asked) = self.asked.take_if(|asked| asked.request == request) else {
            return false;
        };
        match answer {
            Answer::Reservations(records) => {
                let deadline = asked.at.checked_add(records.ttl).unwrap_or(asked.at);
                let (mut granted, mut is_full, mut is_limited) = (0, false, false);
                for record in records.clone() {
                    match record {
                        ReservationRecord::Granted { write, extents } => {
                            granted += 1;
                            let extents = extents.iter().collect();
                            self.put_back(asked.len, Spare { write, extents, deadline }, state);
                        }
                        ReservationRecord::Refused(ReserveStatus::TooManyReservations) => {
                            is_limited = true;
                        }
                        ReservationRecord::Refused(_) => is_full = true,
                    }
                }
                if is_full {
                    // What is spare here is missing there.
                    self.give_back(state);
                    self.paused = Some(Instant::now() + PAUSE);
                } else if is_limited {
                    self.limit(asked.len, asked.held + granted);
                }
            }
            Answer::Error(failure) if failure.code == FailureCode::UnknownKind => {
                self.is_unknown = true;
            }
            _ => self.paused = Some(Instant::now() + PAUSE),
        }
        true
    }

    /// The daemon has a share for spare reservations, and grants no more than these of a length.
    fn limit(&mut self, len: u64, most: usize) {
        if most == 0 {
            self.paused = Some(Instant::now() + PAUSE);
        }
        if let Some(class) = self.class_mut(len) {
            class.wanted = most.max(1);
        }
    }

    /// Gives back those of lengths that were not used lately.
    pub(super) fn end_idle(&mut self, now: Instant, state: &ConnectionState) {
        while self.classes.last().is_some_and(|class| now >= class.used + IDLE) {
            self.give_back_last(state);
        }
    }

    /// Gives all back.
    fn give_back(&mut self, state: &ConnectionState) {
        for spare in self.classes.iter_mut().flat_map(|class| class.spares.drain(..)) {
            state.give_up(spare.write);
        }
    }

    /// Gives back those of the length that has not been used for longest, and forgets it.
    fn give_back_last(&mut self, state: &ConnectionState) {
        let spares = self.classes.pop().map(|class| class.spares);
        spares.into_iter().flatten().for_each(|spare| state.give_up(spare.write));
    }

    fn class_mut(&mut self, len: u64) -> Option<&mut Class> {
        self.classes.iter_mut().find(|class| class.len == rounded(len))
    }

    /// Bytes of all of them.
    fn held(&self) -> u64 {
        self.classes.iter().map(|class| class.len * class.spares.len() as u64).sum()
    }
}

impl Class {
    /// Doubles how many of them there should be, up to the most.
    fn want_more(&mut self) {
        let most = SPARES_MAX.min((SPARES_LEN_MAX / self.len) as usize);
        self.wanted = (2 * self.wanted).clamp(1, most);
    }
}

/// The length of the reservation for an object of this length.
const fn rounded(len: u64) -> u64 {
    len.next_multiple_of(GRAIN)
}
