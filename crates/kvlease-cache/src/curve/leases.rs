//! Leases that are one use: a look-up, and the read after it.
//!
//! A client that looks objects up by leases takes two for each use; others take one. Which kind the clients
//! are shows in objects that come after a long pause: either hardly one, or nearly each, is leased again
//! at once. An object that is asked for all the time says nothing.

use std::time::Duration;

use kvlease_types::Timestamp;

use super::recent::Recent;

/// Time without a lease after which an object tells what kind the clients are.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// Such objects before anything is taken from them.
const OBJECTS_MIN: u32 = 64;

/// Such objects after which all count half.
const OBJECTS_MAX: u32 = 4_096;

/// Last lease of an object.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// Whether it began a use.
    is_new: bool,
    /// Whether it found the object after a long pause.
    tells: bool,
}

/// Leases lately, and what they tell of the clients.
#[derive(Debug)]
pub(super) struct Leases {
    /// Time between a look-up and its read.
    same_use: Duration,
    last: Recent<Last>,
    /// Objects that were found after a long pause.
    after_pause: u32,
    /// Those of them that were leased again at once.
    again: u32,
}

impl Leases {
    pub(super) const MEMORY: usize = Recent::<Last>::MEMORY;

    pub(super) fn new(same_use: Duration) -> Self {
        Self { same_use, last: Recent::new(LONG_PAUSE), after_pause: 0, again: 0 }
    }

    /// Takes note of a lease that was asked for. Returns whether it began a use.
    pub(super) fn is_new(&mut self, hash: u64, found: bool, now: Timestamp) -> bool {
        let last = self.last.take(hash, now);
        let soon = last.filter(|(at, _)| now.since(*at) < self.same_use).map(|(_, last)| last);
        if soon.is_some_and(|last| last.tells) {
            self.again += 1;
        }
        let tells = last.is_none() && found;
        if tells {
            self.after_pause += 1;
            if self.after_pause > OBJECTS_MAX {
                self.after_pause /= 2;
                self.again /= 2;
            }
        }
        let is_new = !(self.are_double() && soon.is_some_and(|last| last.is_new));
        self.last.insert(hash, Last { is_new, tells }, now);
        is_new
    }

    /// Whether clients take two leases for a use.
    const fn are_double(&self) -> bool {
        self.after_pause >= OBJECTS_MIN && self.again * 2 > self.after_pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME_USE: Duration = Duration::from_secs(1);

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn two_leases_are_one_use_where_clients_take_two() {
        let mut leases = Leases::new(SAME_USE);
        let mut uses = 0;
        for object in 0..200 {
            for moment in [0, 10] {
                uses += u64::from(leases.is_new(object, true, at(object * 100 + moment)));
            }
        }
        assert!((200..200 + u64::from(OBJECTS_MIN)).contains(&uses), "{uses}");
        // An object in use all the time is leased twice for each use as well.
        let hot: u64 =
            (0..100).map(|n| u64::from(leases.is_new(9999, true, at(30_000 + n * 50)))).sum();
        assert_eq!(hot, 50);
    }

    #[test]
    fn a_lease_is_a_use_where_clients_take_one() {
        let mut leases = Leases::new(SAME_USE);
        for object in 0..200 {
            assert!(leases.is_new(object, true, at(object * 100)));
            assert!(leases.is_new(9999, true, at(object * 100)), "it is in use all the time");
        }
    }
}
