//! A cluster of Valkey or Redis servers.

use std::time::Duration;

use kvlease_remote::Options;
use kvlease_tier::{Loaded, TierError};
use kvlease_tier_conformance::{MemoryDestination, MemorySource, Sample};
use tokio::time;

use crate::real_store::{
    cluster_server::{ClusterServer, SERVERS},
    proxy::Fault,
    valkey_server::{NODE, ValkeyServer},
};

mod conformance {
    use crate::real_store::cluster_server::LazyCluster;

    kvlease_tier_conformance::conformance_tests! {
        LazyCluster::default,
        more_than_it_holds: "the servers evict by their own policy, and do not say so",
    }
}

/// Longer than a call on a living server takes on a busy machine, and far shorter than
/// [`CALL_TIMEOUT`].
const AT_ONCE: Duration = Duration::from_secs(60);

/// Time that a call on the lost server would take.
const CALL_TIMEOUT: Duration = Duration::from_secs(600);

/// How a server is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    Killed,
    /// Connections stay open, and nothing answers.
    Silent,
}

async fn lose_a_server(loss: Loss) {
    let cluster = ClusterServer::start().await;
    let options =
        Options { call_timeout: CALL_TIMEOUT, connect_timeout: CALL_TIMEOUT, ..Options::new(NODE) };
    let tier = cluster.tier(&options);
    let samples: Vec<_> =
        (0..60).map(|number| Sample::new("bucket", &format!("key-{number}"), 1, 5000)).collect();
    let mut owners = Vec::new();
    for sample in &samples {
        let source = Box::new(MemorySource::of(sample));
        tier.store(sample.object(), source).await.expect("the cluster stores");
        owners.push(cluster.owner_of(&ValkeyServer::value_of(sample.name())).await);
    }
    // The tier knows the cluster by the first server alone, and that is the one that is lost.
    let lost = 0;
    match loss {
        Loss::Killed => cluster.members[lost].process.kill(),
        Loss::Silent => cluster.members[lost].proxy.set(Fault::Silence),
    }
    // A call that waits for the lost server is under way meanwhile.
    let first_lost = owners.iter().position(|owner| *owner == lost).expect("60 keys on 3 servers");
    let waiting = {
        let (tier, name) = (tier.clone(), samples[first_lost].name().clone());
        tokio::spawn(async move { tier.find(name.bucket.as_str(), &[name.key.as_str()]).await })
    };
    for _ in 0..3 {
        for (sample, owner) in samples.iter().zip(&owners).filter(|(_, owner)| **owner != lost) {
            let (destination, delivery) = MemoryDestination::new(sample.stat().len.bytes());
            let load = tier.load(sample.name(), sample.stat(), destination);
            let loaded = time::timeout(AT_ONCE, load).await;
            let loaded = loaded.unwrap_or_else(|_| panic!("server {owner} waited for {lost}"));
            assert_eq!(loaded.as_ref().expect("its server is there"), &Loaded::Complete);
            delivery.verify(sample, &loaded);
        }
    }
    if loss == Loss::Killed {
        let found = waiting.await.expect("it does not panic");
        assert!(matches!(found, Err(TierError::Unavailable(_))), "{found:?}");
        let keys: Vec<_> = samples.iter().map(Sample::key).collect();
        let found = tier.find("bucket", &keys).await.expect("two servers answer");
        for ((found, owner), sample) in found.iter().zip(&owners).zip(&samples) {
            let expected = (*owner != lost).then_some(sample.stat());
            assert_eq!(*found, expected, "server {owner} of {SERVERS}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_costs_only_its_own_keys() {
    lose_a_server(Loss::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_silent_makes_no_call_to_another_one_wait() {
    lose_a_server(Loss::Silent).await;
}
