//! Objects of a cluster whose slots go to other servers meanwhile.

use std::{sync::Arc, time::Duration};

use kvlease_remote::Options;
use kvlease_tier::{Loaded, Presence, Stored, Tier};
use kvlease_tier_conformance::Sample;
use tokio::time;

use crate::real_store::{
    calls::{LONG, load, store},
    cluster_server::ClusterServer,
    cluster_slots::Move,
    valkey_server::ValkeyServer,
};

/// Lengths of objects: of a value on a shared connection, of one with a connection to itself, and of pieces.
const LENS: [usize; 3] = [5000, 300_000, LONG];

/// Length of a piece.
const PIECE_LEN: usize = 4 << 20;

/// Longer than any call takes on a busy machine: none is made again.
const TIMEOUT: Duration = Duration::from_secs(600);

fn tier(cluster: &ClusterServer, node: &str) -> Arc<dyn Tier> {
    let timeouts =
        Options { call_timeout: TIMEOUT, connect_timeout: TIMEOUT, ..Options::new(node) };
    cluster.tier(&timeouts)
}

/// The pieces of an object, if it has any.
fn pieces_of(sample: &Sample) -> Vec<String> {
    let len = sample.bytes().len();
    let pieces = if len > PIECE_LEN { len.div_ceil(PIECE_LEN) } else { 0 };
    let (bucket, key, checksum) = (sample.bucket(), sample.key(), sample.stat().checksum);
    (0..pieces).map(|piece| format!("kvlease/v1p/{bucket}/{key}/{checksum}-{piece}")).collect()
}

/// All names of an object.
fn names_of(sample: &Sample) -> Vec<String> {
    [vec![ValkeyServer::value_of(sample.name())], pieces_of(sample)].concat()
}

async fn begin_moves<'a>(cluster: &'a ClusterServer, names: &[String]) -> Vec<Move<'a>> {
    let mut moves = Vec::new();
    for name in names {
        moves.push(cluster.begin_move(name).await);
    }
    moves
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_loaded_while_their_slots_are_on_their_way() {
    let cluster = ClusterServer::start().await;
    let tier = tier(&cluster, "node");
    for len in LENS {
        let sample = Sample::new("bucket", &format!("{len}"), 1, len);
        store(&*tier, &sample).await.unwrap();
        let names = names_of(&sample);
        let moves = begin_moves(&cluster, &names).await;
        assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Complete);
        assert_eq!(cluster.redirects("ASK").await, 0, "all values are where they were");
        let mut sent_on = 0;
        for (carried, moving) in (1..).zip(&moves) {
            moving.carry().await;
            assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Complete);
            sent_on += carried;
            assert_eq!(cluster.redirects("ASK").await, sent_on, "{carried} values went ahead");
        }
        for moving in &moves {
            moving.finish().await;
            assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Complete);
        }
        cluster.forget_redirects().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_stored_while_their_slots_are_on_their_way() {
    let cluster = ClusterServer::start().await;
    let tier = tier(&cluster, "node");
    for len in LENS {
        // Nothing of it is there, so it goes to where the slots go.
        let new = Sample::new("bucket", &format!("new-{len}"), 1, len);
        let names = names_of(&new);
        let moves = begin_moves(&cluster, &names).await;
        cluster.forget_redirects().await;
        assert!(matches!(store(&*tier, &new).await.unwrap(), Stored::Written(_)));
        assert!(cluster.redirects("ASK").await >= names.len(), "each value is sent on");
        assert_eq!(load(&*tier, &new).await.unwrap(), Loaded::Complete);
        for moving in &moves {
            // The servers refuse it if a value is left behind.
            moving.finish().await;
        }
        assert_eq!(load(&*tier, &new).await.unwrap(), Loaded::Complete);

        // Its head is there, and stays where it is until it is carried. Pieces are new with each version.
        let old = Sample::new("bucket", &format!("old-{len}"), 1, len);
        store(&*tier, &old).await.unwrap();
        let next = old.next_version();
        let moves = begin_moves(&cluster, &names_of(&next)).await;
        assert!(matches!(store(&*tier, &next).await.unwrap(), Stored::Written(_)));
        assert_eq!(load(&*tier, &next).await.unwrap(), Loaded::Complete);
        moves[0].carry().await;
        assert_eq!(load(&*tier, &next).await.unwrap(), Loaded::Complete);
        assert_eq!(load(&*tier, &old).await.unwrap(), Loaded::Absent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_went_are_followed_and_the_map_is_read_again() {
    let cluster = ClusterServer::start().await;
    for len in LENS {
        let kept = Sample::new("bucket", &format!("kept-{len}"), 1, len);
        let new = Sample::new("bucket", &format!("new-{len}"), 1, len);
        let [loader, storer] =
            ["loader", "storer"].map(|role| tier(&cluster, &format!("{role}-{len}")));
        // Both know the map from here on.
        store(&*loader, &kept).await.unwrap();
        store(&*storer, &Sample::new("bucket", &format!("other-{len}"), 1, 10)).await.unwrap();
        // The first call for what no directory names is the one that stores it.
        while storer.presence("bucket", new.key()) != Presence::Absent {
            time::sleep(Duration::from_millis(20)).await;
        }
        for (sample, is_there) in [(&kept, true), (&new, false)] {
            // A look-up of the head would make the map new before the pieces are asked for.
            let (pieces, names) = (pieces_of(sample), names_of(sample));
            for name in if pieces.is_empty() { names } else { pieces } {
                let moving = cluster.begin_move(&name).await;
                if is_there {
                    moving.carry().await;
                }
                moving.finish().await;
            }
        }
        cluster.forget_redirects().await;
        assert_eq!(load(&*loader, &kept).await.unwrap(), Loaded::Complete);
        assert!(cluster.redirects("MOVED").await > 0, "the map is an old one");
        cluster.forget_redirects().await;
        assert!(matches!(store(&*storer, &new).await.unwrap(), Stored::Written(_)));
        assert!(cluster.redirects("MOVED").await > 0, "the map is an old one");
        for (tier, sample) in [(&loader, &kept), (&storer, &new), (&loader, &new)] {
            loop {
                cluster.forget_redirects().await;
                assert_eq!(load(&**tier, sample).await.unwrap(), Loaded::Complete);
                if cluster.redirects("MOVED").await == 0 {
                    break;
                }
                time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
