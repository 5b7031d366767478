//! Limit of how often the log is told of one thing.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Time between two lines about one thing that goes on.
const PAUSE: Duration = Duration::from_secs(600);

/// When something was told last.
#[derive(Default, Debug)]
pub(super) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it is to be told now. The caller tells it then.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.is_none_or(|told| now >= told + PAUSE);
        if is_due {
            *told = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_once_and_then_after_a_pause() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let second = Duration::from_secs(1);
        let told = [
            (Duration::ZERO, true),
            (second, false),
            (PAUSE - second, false),
            (PAUSE, true),
            (PAUSE + second, false),
        ];
        for (after, expected) in told {
            assert_eq!(seldom.is_due(start + after), expected, "{after:?}");
        }
    }
}
