//! Collector: the thread that takes events out of the feed of changes.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use kvlease_cache::Gap;

use super::event::Event;
use crate::{readers::FEED_CHANGES, shared::Shared};

/// Pause between two looks at the feed. The feed holds what a daemon changes in a multiple of it.
const TURN: Duration = Duration::from_millis(5);

/// The most changes that are copied under one lock, which drains of requests wait for: some microseconds.
const CHANGES_PER_LOCK: usize = 64;

/// Changes that the feed keeps while events are collected: a few bursts of the largest requests.
const FEED_CHANGES_COLLECTED: usize = 16_384;

/// Collects events while there are subscribers, until it is stopped.
pub(crate) fn collect(shared: &Shared, stopped: &Receiver<()>) {
    while shared.events.wait_until_needed() {
        shared.lock_readers().feed.resize(FEED_CHANGES_COLLECTED);
        while let Some(from) = shared.events.next_to_collect() {
            collect_from(shared, from);
            if stopped.recv_timeout(TURN) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
        shared.lock_readers().feed.resize(FEED_CHANGES);
    }
}

/// Collects the events of all changes that the feed has from number `from` on.
fn collect_from(shared: &Shared, mut from: u64) {
    loop {
        match some_events(shared, from) {
            Err(gap) => return shared.events.restart(gap.next),
            Ok((_, next)) if next == from => return,
            Ok((events, next)) => {
                shared.counters.events.add(events.len() as u64);
                shared.events.append(events, next);
                from = next;
            }
        }
    }
}

/// Events of a bounded number of changes from number `from` on, and the number to go on with.
fn some_events(shared: &Shared, from: u64) -> Result<(Vec<Event>, u64), Gap> {
    let readers = shared.lock_readers();
    let mut next = from;
    let changes = readers.feed.read(from)?.take(CHANGES_PER_LOCK);
    let changes = changes.inspect(|change| next = change.sequence + 1);
    let events = changes.filter_map(Event::of).collect();
    Ok((events, next))
}
