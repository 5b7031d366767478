//! Calls that want connections: any, or a certain one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use loom::thread::{self, JoinHandle};

use super::{
    connection::Connection,
    link::Link,
    turns::{Busy, Turns},
};
use kvlease_testing::model::{begin, block_on, check, step};

/// A lane with one connection so far.
#[derive(Clone)]
struct Lane {
    turns: Arc<Turns>,
    turns_max: usize,
    open: Arc<AtomicUsize>,
    first: Arc<Link>,
}

impl Lane {
    fn new(turns_max: usize) -> Self {
        let open = Arc::default();
        let first = Connection::new(&open);
        Self::with(turns_max, open, first)
    }

    fn with(turns_max: usize, open: Arc<AtomicUsize>, first: Connection) -> Self {
        let link = Arc::clone(&first.link);
        Self { turns: Arc::new(Turns::new(turns_max, first)), turns_max, open, first: link }
    }

    /// A call on any connection.
    fn call(&self) {
        let mut busy = block_on(self.turns.any());
        if busy.lacks_connection() {
            busy.set_connection(Connection::new(&self.open));
        }
        let open = self.open.load(Ordering::Relaxed);
        assert!(open <= self.turns_max, "more connections than turns");
        busy.connection().call();
    }

    /// A call on the first connection; `false` if that is closed.
    fn call_on_first(&self) -> bool {
        let Some(mut busy) = block_on(self.turns.on(&self.first)) else { return false };
        assert!(Arc::ptr_eq(&busy.connection().link, &self.first));
        busy.connection().call();
        true
    }

    fn beside(&self, run: impl FnOnce(&Self) + Send + 'static) -> JoinHandle<()> {
        let lane = self.clone();
        thread::spawn(move || run(&lane))
    }

    /// All calls are over: every turn and every connection can be had, and no more.
    fn assert_at_rest(&self) {
        let all: Vec<Busy> = (0..self.turns_max).map(|_| block_on(self.turns.any())).collect();
        let idle = all.iter().filter(|busy| !busy.lacks_connection()).count();
        assert_eq!(idle, self.open.load(Ordering::Relaxed), "connections are lost");
        assert!(begin(self.turns.any()).is_err(), "more turns than there were");
    }
}

fn join<const COUNT: usize>(others: [JoinHandle<()>; COUNT]) {
    others.into_iter().for_each(|other| other.join().unwrap());
}

#[test]
fn whoever_waits_for_a_connection_gets_it_or_learns_that_it_is_closed() {
    for tear in [false, true] {
        check(move || {
            let lane = Lane::new(2);
            let mut busy = block_on(lane.turns.any());
            let waiting =
                [(); 2].map(|()| lane.beside(move |lane| assert_eq!(lane.call_on_first(), !tear)));
            if tear {
                busy.connection().tear();
            }
            drop(busy);
            join(waiting);
            assert_eq!(lane.first.is_closed(), tear);
            lane.assert_at_rest();
        });
    }
}

#[test]
fn there_are_no_more_connections_than_turns() {
    for turns in [1, 2] {
        check(move || {
            let lane = Lane::new(turns);
            let others =
                [lane.beside(Lane::call), lane.beside(|lane| assert!(lane.call_on_first()))];
            lane.call();
            join(others);
            lane.assert_at_rest();
        });
    }
}

#[test]
fn who_gives_up_takes_neither_a_turn_nor_a_connection_along() {
    for certain in [false, true] {
        check(move || {
            let lane = Lane::new(1);
            let busy = block_on(lane.turns.any());
            let patient = lane.clone();
            let waiting = begin(async move {
                match certain {
                    true => patient.turns.on(&patient.first).await,
                    false => Some(patient.turns.any().await),
                }
            });
            let others = [
                lane.beside(|_| {
                    step();
                    drop(waiting);
                }),
                lane.beside(|lane| assert!(lane.call_on_first())),
            ];
            drop(busy);
            join(others);
            lane.assert_at_rest();
        });
    }
}

#[test]
fn what_ends_while_its_connection_is_in_use_is_told_when_that_comes_back() {
    let ways: [fn(&Link); 3] = [
        |link| {
            link.begin_leases(1);
            assert!(link.end_lease(7), "it is the last of its batch");
        },
        |link| link.end_unguarded(7),
        |link| link.give_up(7),
    ];
    for end in ways {
        check(move || {
            let lane = Lane::new(1);
            let others =
                [lane.beside(Lane::call), lane.beside(|lane| assert!(lane.call_on_first()))];
            end(&lane.first);
            lane.turns.flush(&lane.first);
            join(others);
            assert!(!lane.first.is_flush_due());
            lane.assert_at_rest();
        });
    }
}

#[test]
fn nobody_waits_for_a_connection_that_was_found_closed() {
    for all in [false, true] {
        check(move || {
            let open = Arc::default();
            let first = Connection::deaf(&open);
            let lane = Lane::with(1, open, first);
            lane.first.begin_leases(1);
            let others = [lane.beside(Lane::call), lane.beside(|lane| _ = lane.call_on_first())];
            if lane.first.end_lease(7) && !all {
                lane.turns.flush(&lane.first);
            } else {
                lane.turns.flush_all();
            }
            join(others);
            lane.assert_at_rest();
        });
    }
}
