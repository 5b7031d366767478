//! Requests of one connection whose answers are to come.
//!
//! Answers come in the order of the requests, but for those that wait at the daemon: an acquire for a
//! writer, a call that asks a tier. Such an answer may come long after its call was cancelled, and
//! behind the answers to later calls.

use std::collections::VecDeque;

/// The numbers of requests that were sent and not answered, in their order.
///
/// Their number is bounded by what the socket's buffers hold: each is a frame that was sent.
#[derive(Default, Debug)]
pub(super) struct Unanswered(VecDeque<u64>);

impl Unanswered {
    /// Adds a request, whose number is above those of all before it.
    pub(super) fn push(&mut self, request: u64) {
        debug_assert!(self.0.back().is_none_or(|last| *last < request), "numbers rise");
        self.0.push_back(request);
    }

    /// Takes a request out, whose answer has come. Returns false if no answer to it is to come.
    pub(super) fn take(&mut self, request: u64) -> bool {
        // Most often the first.
        match self.0.binary_search(&request) {
            Ok(place) => self.0.remove(place).is_some(),
            Err(_) => false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_answered_once_in_any_order() {
        let mut unanswered = Unanswered::default();
        (1..=3).for_each(|request| unanswered.push(request));
        assert!(unanswered.take(2));
        assert!(!unanswered.take(2), "it was answered");
        assert!(!unanswered.take(4), "it was not sent");
        assert!(unanswered.take(1) && unanswered.take(3));
        assert!(unanswered.is_empty());
    }
}
