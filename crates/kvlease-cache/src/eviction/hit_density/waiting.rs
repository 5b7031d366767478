//! Objects that have not come back yet, by the time of their last use.
//!
//! Times are kept in spans that grow with their age, so a few hundred of them tell the ages of any number of
//! objects within a quarter.

use std::collections::VecDeque;

use super::last_use::{CLASSES, Use};

/// Shortest span, in uses of the cache.
const SPAN_MIN: u64 = 64;

/// Part of its age that a span may be long.
const PART: u64 = 8;

/// See the module.
#[derive(Default, Debug)]
pub(super) struct Waiting {
    /// The oldest one first.
    spans: VecDeque<Span>,
}

/// Objects that were used last from this moment until the next span begins.
#[derive(Clone, Copy, Default, Debug)]
struct Span {
    from: u64,
    objects: [u64; CLASSES],
}

impl Waiting {
    /// An object was used now.
    pub(super) fn add(&mut self, last: Use) {
        if self.spans.back().is_none_or(|span| last.at() - span.from >= SPAN_MIN) {
            self.spans.push_back(Span { from: last.at(), ..Span::default() });
        }
        if let Some(span) = self.spans.back_mut() {
            span.objects[last.class()] += 1;
        }
    }

    /// An object that was used last at this time has come back, or is watched no longer.
    pub(super) fn remove(&mut self, last: Use) {
        let later = self.spans.partition_point(|span| span.from <= last.at());
        let span = later.checked_sub(1).and_then(|place| self.spans.get_mut(place));
        let objects = &mut span.expect("it was added").objects[last.class()];
        *objects = objects.checked_sub(1).expect("it is there once");
    }

    /// Objects of each class and their age, within an eighth. Joins spans that are short for their age.
    pub(super) fn ages(&mut self, now: u64) -> impl Iterator<Item = (u64, [u64; CLASSES])> {
        let mut joined: VecDeque<Span> = VecDeque::with_capacity(self.spans.len());
        let mut spans = self.spans.iter().copied().peekable();
        while let Some(span) = spans.next() {
            let end = spans.peek().map_or(now, |next| next.from);
            match joined.back_mut().filter(|before| end - before.from <= (now - end) / PART) {
                Some(before) => {
                    for (all, more) in before.objects.iter_mut().zip(span.objects) {
                        *all += more;
                    }
                }
                None => joined.push_back(span),
            }
        }
        self.spans = joined;
        let ends = self.spans.iter().skip(1).map(|span| span.from).chain([now]);
        self.spans
            .iter()
            .zip(ends)
            .map(move |(span, end)| (now - span.from.midpoint(end), span.objects))
    }

    /// Number of objects.
    pub(super) fn len(&self) -> u64 {
        self.spans.iter().flat_map(|span| span.objects).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_that_waits_is_counted_at_its_age() {
        let mut waiting = Waiting::default();
        let last = |at: u64| match at % 2 {
            0 => Use::first(at),
            _ => Use::first(0).again(at),
        };
        let uses = |step: usize| (1..=100_000_u64).step_by(step);
        for at in uses(1) {
            waiting.add(last(at));
            if at % 4096 == 0 {
                waiting.ages(at).count();
            }
        }
        let now = 100_000;
        uses(10).for_each(|at| waiting.remove(last(at)));
        let ages: Vec<_> = waiting.ages(now).collect();
        assert!(ages.len() < 150, "{}", ages.len());
        assert_eq!(waiting.len(), 90_000);
        let total = |class: usize| ages.iter().map(|(_, objects)| objects[class]).sum::<u64>();
        assert_eq!((total(0), total(1)), (50_000, 40_000));
        for age in [1_000, 10_000, 50_000] {
            let younger = ages.iter().filter(|(found, _)| *found < age);
            let younger: u64 = younger.map(|(_, objects)| objects[0] + objects[1]).sum();
            assert!(younger.abs_diff(age * 9 / 10) < age / 8, "{younger} of {age}");
        }
    }
}
