//! Calls that want connections: any, or a certain one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kvlease_testing::model::{begin, block_on, check, step};
use loom::thread::{self, JoinHandle};

use super::{
    connection::Connection,
    connection_state::ConnectionState,
    pool::{Pool, PooledConnection},
};

/// A lane with one connection so far.
#[derive(Clone)]
struct Lane {
    pool: Arc<Pool>,
    permits: usize,
    open: Arc<AtomicUsize>,
    first: Arc<ConnectionState>,
}

impl Lane {
    fn new(permits: usize) -> Self {
        let open = Arc::default();
        let first = Connection::new(&open);
        Self::with(permits, open, first)
    }

    fn with(permits: usize, open: Arc<AtomicUsize>, first: Connection) -> Self {
        let state = Arc::clone(&first.state);
        Self { pool: Arc::new(Pool::new(permits, first)), permits, open, first: state }
    }

    /// A permit for any connection.
    fn check_out(&self) -> PooledConnection {
        block_on(self.pool.check_out(None)).expect("no connection has to be waited for")
    }

    /// A call on any connection.
    fn call(&self) {
        let mut pooled = self.check_out();
        if pooled.lacks_connection() {
            pooled.set_connection(Connection::new(&self.open));
        }
        let open = self.open.load(Ordering::Relaxed);
        assert!(open <= self.permits, "more connections than permits");
        pooled.connection().call();
    }

    /// A call on the first connection; `false` if that is closed.
    fn call_on_first(&self) -> bool {
        let Some(mut pooled) = block_on(self.pool.check_out(Some(&self.first))) else {
            return false;
        };
        assert!(Arc::ptr_eq(&pooled.connection().state, &self.first));
        pooled.connection().call();
        true
    }

    fn beside(&self, run: impl FnOnce(&Self) + Send + 'static) -> JoinHandle<()> {
        let lane = self.clone();
        thread::spawn(move || run(&lane))
    }

    /// All calls are over: every permit and every connection can be had, and no more.
    fn assert_at_rest(&self) {
        let all: Vec<PooledConnection> = (0..self.permits).map(|_| self.check_out()).collect();
        let idle = all.iter().filter(|pooled| !pooled.lacks_connection()).count();
        assert_eq!(idle, self.open.load(Ordering::Relaxed), "connections are lost");
        assert!(begin(self.pool.check_out(None)).is_err(), "more permits than there were");
    }
}

fn join<const COUNT: usize>(others: [JoinHandle<()>; COUNT]) {
    others.into_iter().for_each(|other| other.join().unwrap());
}

#[test]
fn a_waiter_gets_its_connection_or_learns_that_it_is_closed() {
    for tear in [false, true] {
        check(move || {
            let lane = Lane::new(2);
            let mut pooled = lane.check_out();
            let waiting =
                [(); 2].map(|()| lane.beside(move |lane| assert_eq!(lane.call_on_first(), !tear)));
            if tear {
                pooled.connection().tear();
            }
            drop(pooled);
            join(waiting);
            assert_eq!(lane.first.is_closed(), tear);
            lane.assert_at_rest();
        });
    }
}

#[test]
fn there_are_no_more_connections_than_permits() {
    for permits in [1, 2] {
        check(move || {
            let lane = Lane::new(permits);
            let others =
                [lane.beside(Lane::call), lane.beside(|lane| assert!(lane.call_on_first()))];
            lane.call();
            join(others);
            lane.assert_at_rest();
        });
    }
}

#[test]
fn a_waiter_that_gives_up_takes_neither_a_permit_nor_a_connection_along() {
    for certain in [false, true] {
        check(move || {
            let lane = Lane::new(1);
            let pooled = lane.check_out();
            let waiter = lane.clone();
            let waiting = begin(async move {
                match certain {
                    true => waiter.pool.check_out(Some(&waiter.first)).await,
                    false => waiter.pool.check_out(None).await,
                }
            });
            let others = [
                lane.beside(|_| {
                    step();
                    drop(waiting);
                }),
                lane.beside(|lane| assert!(lane.call_on_first())),
            ];
            drop(pooled);
            join(others);
            lane.assert_at_rest();
        });
    }
}

#[test]
fn what_ends_while_its_connection_is_in_use_is_sent_at_the_check_in() {
    let ways: [fn(&ConnectionState); 3] = [
        |state| {
            state.begin_leases(1);
            assert!(state.end_lease(7), "it is the last of its batch");
        },
        |state| state.end_unguarded(7),
        |state| state.give_up(7),
    ];
    for end in ways {
        check(move || {
            let lane = Lane::new(1);
            let others =
                [lane.beside(Lane::call), lane.beside(|lane| assert!(lane.call_on_first()))];
            end(&lane.first);
            lane.pool.flush(&lane.first);
            join(others);
            assert!(!lane.first.is_flush_due());
            lane.assert_at_rest();
        });
    }
}

#[test]
fn no_waiter_stays_for_a_connection_that_was_found_closed() {
    let ways: [fn(&Lane); 3] = [
        |lane| lane.pool.flush(&lane.first),
        |lane| lane.pool.flush_all(),
        |lane| _ = lane.pool.take_late(&lane.first),
    ];
    for look in ways {
        check(move || {
            let open = Arc::default();
            let first = Connection::deaf(&open);
            let lane = Lane::with(1, open, first);
            lane.first.begin_leases(1);
            let others = [lane.beside(Lane::call), lane.beside(|lane| _ = lane.call_on_first())];
            assert!(lane.first.end_lease(7), "it is the last of its batch");
            look(&lane);
            join(others);
            lane.assert_at_rest();
        });
    }
}
