//! Posted puts: the caller goes on when the bytes are copied, and is told of the outcomes later.

use std::time::{Duration, Instant};

use kvlease_client::{
    Connector, ConnectorConfig, Error, ErrorCode, Key, PostReport, Posts, PutBody, blocking,
};
use kvlease_harness::{Daemon, await_that};
use kvlease_testing::bytes;

use crate::program::{client_of, connector_of, daemon, fast};

const LEN: usize = 100_000;
const COUNT: usize = 200;

/// Time without a put after which a connector gives its spare reservations back.
const KEPT: Duration = Duration::from_secs(1);

/// Length of objects that fill the arena of 64 MiB.
const LARGE_LEN: usize = 1 << 20;

fn key(number: usize) -> Key {
    Key::new(format!("k{number}")).unwrap()
}

fn config(daemon: &Daemon) -> ConnectorConfig {
    connector_of(client_of(daemon))
}

/// A connector that has the lane.
async fn connector(daemon: &Daemon) -> Connector {
    fast(config(daemon)).await
}

async fn post(posts: &Posts, number: usize) {
    posts.post(&key(number), bytes(LEN, number as u64)).await.unwrap();
}

/// Frames of this kind that the daemon answered.
fn asked(daemon: &Daemon, kind: &str) -> f64 {
    let series = format!("kvlease_lane_requests_total{{kind=\"{kind}\",outcome=\"ok\"}}");
    daemon.metric(&series).unwrap()
}

fn counts(report: &PostReport) -> (u64, u64, usize) {
    (report.stored, report.existed, report.errors.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posted_objects_are_there_after_a_flush_or_a_close() {
    // Where a post comes late, what was reserved ahead of it was given back: then all is done again.
    let (daemon, writer, reader, posts) = loop {
        let daemon = daemon();
        let (writer, reader) = (connector(&daemon).await, connector(&daemon).await);
        let (posts, mut slowest, mut posted) = (writer.posts(), Duration::ZERO, Instant::now());
        for number in 0..COUNT {
            // The buffer of the object is free again when the call returns.
            let mut object = bytes(LEN, number as u64);
            posts.post(&key(number), object.clone()).await.unwrap();
            object.fill(0);
            slowest = slowest.max(posted.elapsed());
            posted = Instant::now();
        }
        assert_eq!(counts(&posts.flush().await), (COUNT as u64, 0, 0));
        if slowest < KEPT / 2 {
            break (daemon, writer, reader, posts);
        }
    };
    for number in 0..COUNT {
        let read = reader.get(&key(number)).await.unwrap().unwrap();
        assert!(read == bytes(LEN, number as u64), "{number}");
    }
    // All but the first are posted, however small the daemon's share for spare reservations is.
    assert_eq!((asked(&daemon, "reserve"), asked(&daemon, "store")), (1.0, COUNT as f64 - 1.0));
    post(&posts, 0).await;
    post(&posts, COUNT).await;
    writer.close().await;
    assert!(reader.get(&key(COUNT)).await.unwrap().unwrap() == bytes(LEN, COUNT as u64));
    assert!(matches!(posts.post(&key(1), bytes(LEN, 1)).await, Err(Error::Closed)));
    assert_eq!(counts(&posts.flush().await), (1, 1, 0), "told after the close as well");
    let stats = writer.stats();
    assert_eq!((stats.puts_stored, stats.puts_existed), (COUNT as u64 + 1, 1));
    assert_eq!((stats.bytes_written, stats.puts_failed), (((COUNT + 1) * LEN) as u64, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_are_told_of_their_own_posts_whatever_tasks_post() {
    let daemon = daemon();
    let writer = connector(&daemon).await;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let writer = writer.clone();
            tokio::spawn(async move {
                let posts = writer.posts();
                for number in 0..25 {
                    post(&posts, task % 4 * 25 + number).await;
                }
                posts.flush().await
            })
        })
        .collect();
    let (mut stored, mut existed) = (0, 0);
    for task in tasks {
        let report = task.await.unwrap();
        assert_eq!((report.stored + report.existed, report.errors.len()), (25, 0));
        stored += report.stored;
        existed += report.existed;
    }
    assert_eq!((stored, existed), (100, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_error_is_told_once_and_counted_when_the_daemon_is_lost() {
    let mut daemon = daemon();
    let writer = connector(&daemon).await;
    let posts = writer.posts();
    for number in 0..10 {
        post(&posts, number).await;
    }
    assert_eq!(counts(&posts.flush().await), (10, 0, 0));
    daemon.stop().unwrap();
    // The daemon has space reserved for the first of these. It answers none, and its end is the end of their wait.
    let unanswered = async {
        for number in 10..13 {
            post(&posts, number).await;
        }
    };
    let end = async { daemon.kill().unwrap() };
    tokio::join!(biased; unanswered, end);
    for number in 13..20 {
        post(&posts, number).await;
    }
    let report = posts.flush().await;
    let failed: Vec<_> = report.errors.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(failed, (10..20).map(key).collect::<Vec<_>>(), "in the order of the posts");
    assert_eq!((report.stored, writer.stats().puts_failed), (0, 10));
    assert_eq!(counts(&posts.flush().await), (0, 0, 0));
    post(&posts, 20).await;
    drop(posts);
    assert_eq!(writer.stats().puts_failed, 11, "a handle that is dropped tells no flush");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_meets_a_full_arena_has_the_outcome_of_a_put() {
    let daemon = daemon();
    let (writer, posts) = {
        let writer = connector(&daemon).await;
        let posts = writer.posts();
        (writer, posts)
    };
    post(&posts, 0).await;
    post(&posts, 1).await;
    // Objects that are held leave no room, and what the daemon keeps free is filled as well.
    let (mut views, mut number) = (Vec::new(), 1_000);
    let refused = loop {
        match writer.put(&key(number), bytes(LARGE_LEN, 1)).await {
            Ok(_) => {}
            Err(error) => break error,
        }
        let opened = writer.open(&key(number), 0).await.unwrap().unwrap();
        views.push(opened.into_view().unwrap());
        number += 1;
    };
    assert!(matches!(refused, Error::Refused { code: Some(ErrorCode::NoSpace), .. }), "{refused}");
    let body = || PutBody::from(bytes(LARGE_LEN, 1));
    posts.post(&key(2), body()).await.unwrap();
    posts.post(&key(3), body()).await.unwrap();
    let report = posts.flush().await;
    assert_eq!(counts(&report), (2, 0, 2));
    for ((failed, error), number) in report.errors.iter().zip(2..) {
        assert_eq!(*failed, key(number));
        assert!(matches!(error, Error::Refused { code: Some(ErrorCode::NoSpace), .. }), "{error}");
    }
    drop(views);
    await_that("room again", || daemon.metric("kvlease_leases_live").unwrap() == 0.0);
    posts.post(&key(2), body()).await.unwrap();
    assert_eq!(counts(&posts.flush().await), (1, 0, 0));
}

#[test]
fn a_thread_posts_without_async() {
    loop {
        let (daemon, started) = (daemon(), Instant::now());
        let connector = blocking::Connector::new(config(&daemon)).unwrap();
        connector.ping().unwrap();
        let posts = connector.posts();
        for number in 0..20 {
            posts.post(&key(number), bytes(LEN, number as u64)).unwrap();
        }
        let posted = started.elapsed();
        assert_eq!(counts(&posts.flush().unwrap()), (20, 0, 0));
        assert!(connector.get(&key(19)).unwrap().unwrap() == bytes(LEN, 19));
        if posted < KEPT {
            assert_eq!(asked(&daemon, "reserve"), 1.0);
            return;
        }
    }
}
