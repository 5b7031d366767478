//! The directory: what one node stored, another one knows.

use std::{sync::Arc, time::Duration};

use kvlease_remote::{Lookup, Options, open};
use kvlease_tier::{Loaded, Presence, Tier};
use kvlease_tier_conformance::Sample;
use redis::AsyncTypedCommands;

use crate::real_store::{
    calls::{load, store},
    proxy::Fault,
    s3_server::S3Server,
    valkey_server::ValkeyServer,
};

/// Waits until a name has this presence.
async fn expect(tier: &dyn Tier, sample: &Sample, presence: Presence) {
    while tier.presence(sample.bucket(), sample.key()) != presence {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn sample(key: &str) -> Sample {
    Sample::new("bucket", key, 1, 5000)
}

/// Two nodes that share a store, and a third one that starts later.
async fn nodes_share_what_they_store(tier_of: impl Fn(&str) -> Arc<dyn Tier>) {
    let (one, two) = (tier_of("node/one"), tier_of("two"));
    let [first, second, never] = ["first", "second", "never"].map(sample);
    expect(&*two, &first, Presence::Absent).await;
    store(&*one, &first).await.unwrap();
    // The node that stored it knows at once, the other one a little later.
    assert_eq!(one.presence("bucket", "first"), Presence::Unknown);
    expect(&*two, &first, Presence::Unknown).await;
    assert_eq!(load(&*two, &first).await.unwrap(), Loaded::Complete);
    store(&*two, &second).await.unwrap();
    expect(&*one, &second, Presence::Unknown).await;
    // Both end without a close.
    drop((one, two));
    let three = tier_of("three");
    expect(&*three, &never, Presence::Absent).await;
    for stored in [&first, &second] {
        assert_eq!(three.presence("bucket", stored.key()), Presence::Unknown, "{stored:?}");
        assert_eq!(load(&*three, stored).await.unwrap(), Loaded::Complete);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_what_they_store_in_valkey() {
    let server = ValkeyServer::start();
    nodes_share_what_they_store(|node| server.tier_of(node)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_what_they_store_in_s3() {
    let server = S3Server::start();
    nodes_share_what_they_store(|node| server.tier_with(Options::new(node))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_no_node_stored_is_absent_though_the_store_is_silent() {
    let server = ValkeyServer::start();
    server.proxy.set(Fault::Silence);
    let tier = server.tier_of("one");
    assert_eq!(tier.presence("bucket", "never"), Presence::Unknown, "nothing was read yet");
    server.proxy.set(Fault::None);
    expect(&*tier, &sample("never"), Presence::Absent).await;
    server.proxy.set(Fault::Silence);
    assert_eq!(tier.presence("bucket", "another"), Presence::Absent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tier_that_always_asks_knows_of_no_absence_and_publishes_for_the_others() {
    let server = ValkeyServer::start();
    let options = Options { lookup: Lookup::Always, ..Options::new("one") };
    let (always, two) = (open(&server.url(), &options).unwrap(), server.tier_of("two"));
    let stored = sample("stored");
    expect(&*two, &stored, Presence::Absent).await;
    assert_eq!(always.presence("bucket", "never"), Presence::Unknown);
    store(&*always, &stored).await.unwrap();
    expect(&*two, &stored, Presence::Unknown).await;
    assert_eq!(always.presence("bucket", "never"), Presence::Unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_the_server_lost_is_published_again() {
    let server = ValkeyServer::start();
    let one = server.tier_of("one");
    let stored = sample("stored");
    store(&*one, &stored).await.unwrap();
    let mut connection = server.connection().await;
    for lost in ["kvlease/v1dir/one", "kvlease/v1dir"] {
        connection.del(lost).await.unwrap();
        while !connection.exists(lost).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let two = server.tier_of("two");
    expect(&*two, &sample("never"), Presence::Absent).await;
    assert_eq!(two.presence("bucket", "stored"), Presence::Unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupt_entry_is_left_out_and_the_rest_is_read() {
    let server = ValkeyServer::start();
    let (one, two) = (server.tier_of("one"), server.tier_of("two"));
    store(&*one, &sample("of-one")).await.unwrap();
    store(&*two, &sample("of-two")).await.unwrap();
    let mut connection = server.connection().await;
    for entry in connection.hkeys("kvlease/v1dir/one").await.unwrap() {
        connection.hset("kvlease/v1dir/one", entry, "garbage").await.unwrap();
    }
    let three = server.tier_of("three");
    expect(&*three, &sample("never"), Presence::Absent).await;
    assert_eq!(three.presence("bucket", "of-two"), Presence::Unknown);
}
