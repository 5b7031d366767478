//! A single Valkey or Redis server.

use std::time::Duration;

use kvlease_remote::{Options, open};
use kvlease_testing::free_port;
use kvlease_tier::{Loaded, Stored, TierError};
use kvlease_tier_conformance::{MemorySource, Sample};
use redis::AsyncTypedCommands;

use crate::real_store::{
    calls::{LONG, load, no_wrong_byte, store, until_answered},
    valkey_server::{NODE, ValkeyServer},
};

mod conformance {
    use super::ValkeyServer;

    kvlease_tier_conformance::conformance_tests! {
        ValkeyServer::start,
        more_than_it_holds: "the server evicts by its own policy, and does not say so",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_in_the_server_are_those_of_the_document() {
    let server = ValkeyServer::start();
    let tier = server.tier();
    let sample = Sample::new("my/bucket", "a key", 1, 10);
    store(&*tier, &sample).await.unwrap();
    let mut connection = server.connection().await;
    let names = connection.keys("kvlease/v1/*").await.unwrap();
    assert_eq!(names, ["kvlease/v1/my%2Fbucket/a%20key"]);
    let value = crate::real_store::valkey_server::get(&mut connection, &names[0]).await;
    assert_eq!(value[..8], *b"kvlobj\r\n");
    assert_eq!(value[64..], [b"my/bucketa key", &**sample.bytes()].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_of_a_writer_that_dies_expire_and_those_of_an_object_do_not() {
    let server = ValkeyServer::start();
    let tier = server.tier();
    // More pieces than are on their way at once.
    let len = (40 << 20) + 5;
    let sample = Sample::new("bucket", "key", 1, len);
    // The writer ends before the head: its source fails at the last byte.
    let source = Box::new(MemorySource::of(&sample).changing_at(len - 1));
    tier.store(sample.object(), source).await.unwrap_err();
    let mut connection = server.connection().await;
    let pieces = ValkeyServer::pieces_of(&mut connection, sample.name()).await;
    // Those that were on their way when the source failed may be missing.
    assert!(!pieces.is_empty());
    for piece in &pieces {
        let ttl = ttl(&mut connection, piece).await;
        assert!(ttl > 0, "{piece} does not expire");
    }
    store(&*tier, &sample).await.unwrap();
    let pieces = ValkeyServer::pieces_of(&mut connection, sample.name()).await;
    assert_eq!(pieces.len(), 11);
    for piece in &pieces {
        assert_eq!(ttl(&mut connection, piece).await, -1, "{piece} expires");
    }
    assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Complete);
}

async fn ttl(connection: &mut redis::aio::MultiplexedConnection, name: &str) -> i64 {
    redis::cmd("TTL").arg(name).query_async(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_with_a_piece_that_was_evicted_is_absent_and_can_be_stored_again() {
    let server = ValkeyServer::start();
    let tier = server.tier();
    let sample = Sample::new("bucket", "key", 1, LONG);
    store(&*tier, &sample).await.unwrap();
    let mut connection = server.connection().await;
    let pieces = ValkeyServer::pieces_of(&mut connection, sample.name()).await;
    connection.del(&pieces[1]).await.unwrap();
    // A writer does not take the head for the object.
    assert!(matches!(store(&*tier, &sample).await, Ok(Stored::Written(_))));
    assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Complete);
    connection.del(&pieces[1]).await.unwrap();
    assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Absent);
    assert_eq!(tier.find("bucket", &["key"]).await.unwrap(), [None]);
    let left = connection.keys("kvlease/v1*/bucket/*").await.unwrap();
    assert!(left.is_empty(), "the rest is removed: {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_the_network_delivers_a_wrong_byte() {
    let server = ValkeyServer::start();
    let options = Options { call_timeout: Duration::from_secs(2), ..Options::new(NODE) };
    let tier = open(&server.url(), &options).unwrap();
    no_wrong_byte(&*tier, &server.proxy, b"$7\r\ngarbage\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_fails_calls_and_not_the_start() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let tier = open(&url, &Options::new(NODE)).unwrap();
    let error = tier.find("bucket", &["key"]).await.unwrap_err();
    assert!(error.is_of_tier(), "{error}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_an_error_that_does_not_show_it() {
    let server = ValkeyServer::start();
    let url = format!("redis://:hunter3@127.0.0.1:{}", server.process.port);
    let tier = open(&url, &Options::new(NODE)).unwrap();
    let error = tier.find("bucket", &["key"]).await.unwrap_err();
    assert!(error.is_of_tier());
    assert!(!format!("{error} {error:?} {tier:?} {}", tier.place()).contains("hunter3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_is_found_again() {
    let mut server = ValkeyServer::start();
    let tier = server.tier();
    // The longer one has connections of its own.
    let samples = [5000, LONG].map(|len| Sample::new("bucket", &format!("{len}"), 1, len));
    for sample in &samples {
        store(&*tier, sample).await.unwrap();
    }
    server.process.kill();
    server.restart();
    for sample in &samples {
        // The server kept nothing.
        assert_eq!(until_answered(&*tier, sample).await, Loaded::Absent);
        store(&*tier, sample).await.unwrap();
        assert_eq!(load(&*tier, sample).await.unwrap(), Loaded::Complete);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_closed_are_opened_again_within_the_call() {
    let server = ValkeyServer::start();
    let tier = server.tier();
    let mut connection = server.connection().await;
    for len in [5000, 300_000, LONG] {
        let sample = Sample::new("bucket", &format!("{len}"), 1, len);
        store(&*tier, &sample).await.unwrap();
        assert!(close_others(&mut connection).await > 0);
        assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Complete);
        assert!(close_others(&mut connection).await > 0);
        assert!(matches!(store(&*tier, &sample.next_version()).await, Ok(Stored::Written(_))));
    }
}

/// Closes all connections but this one.
async fn close_others(connection: &mut redis::aio::MultiplexedConnection) -> usize {
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes");
    kill.query_async(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_all_lengths_are_in_the_database_of_the_url() {
    let server = ValkeyServer::start();
    let tier = open(&format!("{}/3", server.url()), &Options::new(NODE)).unwrap();
    let mut connection = server.connection().await;
    let _: String = redis::cmd("SELECT").arg(3).query_async(&mut connection).await.unwrap();
    for len in [0, 1, 70_000, 300_000, 4 << 20] {
        let sample = Sample::new("bucket", &format!("{len}"), 1, len);
        store(&*tier, &sample).await.unwrap();
        let name = ValkeyServer::value_of(sample.name());
        let value = crate::real_store::valkey_server::get(&mut connection, &name).await;
        assert_eq!(value.len(), 64 + name.len() - "kvlease/v1//".len() + len);
        assert!(value.ends_with(sample.bytes()), "{len} bytes");
        assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Complete);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_another_type_is_no_object_and_is_written_over() {
    let server = ValkeyServer::start();
    let tier = server.tier();
    let sample = Sample::new("bucket", "key", 1, 5000);
    let mut connection = server.connection().await;
    connection.rpush(ValkeyServer::value_of(sample.name()), "x").await.unwrap();
    assert_eq!(tier.find("bucket", &["key"]).await.unwrap(), [None]);
    assert!(matches!(load(&*tier, &sample).await, Err(TierError::Foreign { .. })));
    store(&*tier, &sample).await.unwrap();
    assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Complete);
}
