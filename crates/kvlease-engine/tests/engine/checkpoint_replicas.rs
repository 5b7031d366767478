//! Replicas of shards in a store that two nodes share: a node is lost, and the other one goes on.

use std::sync::Arc;

use kvlease_engine::{
    CheckpointRefused, Engine, NamespaceShape, ReadError, ShardDisk, ShardPlace, TierConfig,
};
use kvlease_testing::bytes;
use kvlease_tier::{Name, Tier};
use kvlease_tier_conformance::{Damage, MemoryServer, MemoryTier};
use kvlease_types::ByteSize;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    checkpoints::{all, bucket},
    fixture::{CALLER, Place, run, until},
    tiers::WAIT,
};

const SHAPE: NamespaceShape = NamespaceShape { num_ranks: 2, steps_retained: 3 };

/// Two parts in the store.
const LARGE: usize = (16 << 20) + 4321;

/// One of the nodes that share a store.
struct Node {
    place: Place,
    disk: TempDir,
    server: Arc<MemoryServer>,
}

impl Node {
    fn new(server: &Arc<MemoryServer>) -> Self {
        let disk = TempDir::with_prefix_in("kvlease-test-", "/dev/shm").unwrap();
        Self { place: Place::new(), disk, server: Arc::clone(server) }
    }

    fn engine(&self, epoch: u64) -> Engine {
        self.place.engine_with(epoch, |config| {
            let tier = Arc::new(MemoryTier::of(Arc::clone(&self.server)));
            let tier = TierConfig::new(tier as Arc<dyn Tier>);
            config.tiers = vec![TierConfig { is_shared: true, ..tier }];
            config.checkpoint_replicas = true;
            let path = self.disk.path().join("checkpoints");
            config.checkpoint_disk = Some(ShardDisk { path, capacity: ByteSize::mib(64) });
        })
    }
}

fn put(engine: &Engine, rank: u32, step: u64, sent: &[u8]) {
    let (job, place) = (bucket("job"), ShardPlace { rank, step });
    run(async {
        let len = ByteSize::new(sent.len() as u64);
        let (meta, until) = (Some(format!("rank/{rank}").into()), soon());
        let put = engine.checkpoints().put(&CALLER, &job, place, meta, len, until).await;
        let mut put = put.unwrap();
        put.write(sent).await.unwrap();
        put.seal().await.unwrap();
    });
}

fn soon() -> Instant {
    Instant::now() + WAIT
}

fn get(engine: &Engine, rank: u32, step: u64) -> Option<Result<Vec<u8>, ReadError>> {
    let place = ShardPlace { rank, step };
    run(async {
        match engine.checkpoints().read(&CALLER, &bucket("job"), place, soon()).await {
            Ok((read, meta)) => {
                assert_eq!(meta.as_deref(), Some(format!("rank/{rank}").as_str()));
                Some(all(read).await)
            }
            Err(CheckpointRefused::NoShard) => None,
            Err(error) => panic!("{error}"),
        }
    })
}

fn save(engine: &Engine, step: u64, len: usize) {
    put(engine, 0, step, &bytes(len, step));
    put(engine, 1, step, b"metadata");
}

fn latest(engine: &Engine) -> Option<Vec<u64>> {
    run(engine.checkpoints().refresh(&CALLER, &bucket("job")));
    engine.checkpoints().latest(&bucket("job"), 9)
}

fn settle(engine: &Engine) {
    until("all replicas", || engine.stats().checkpoints.replicas_waiting == 0);
}

/// Keys in the store that have this in them.
fn keys(server: &MemoryServer, part: &str) -> Vec<String> {
    let names = server.names().into_iter().map(|Name { key, .. }| key.to_string());
    names.filter(|key| key.contains(part)).collect()
}

#[test]
fn a_lost_node_s_shards_are_loaded_from_another_one_which_goes_on() {
    let server = Arc::<MemoryServer>::default();
    let (lost, other) = (Node::new(&server), Node::new(&server));
    let engine = lost.engine(1);
    engine.checkpoints().create(&CALLER, &bucket("job"), SHAPE).unwrap();
    save(&engine, 10, LARGE);
    save(&engine, 20, 1000);
    put(&engine, 0, 30, b"alone");
    settle(&engine);
    drop(engine);
    let engine = other.engine(1);
    assert_eq!(engine.checkpoints().shape(&bucket("job")), None);
    assert_eq!(latest(&engine), Some(vec![20, 10]));
    assert_eq!(engine.checkpoints().shape(&bucket("job")), Some(SHAPE));
    assert!(get(&engine, 0, 10) == Some(Ok(bytes(LARGE, 10))));
    assert_eq!(get(&engine, 0, 20), Some(Ok(bytes(1000, 20))));
    assert_eq!(get(&engine, 1, 20), Some(Ok(b"metadata".to_vec())));
    assert_eq!(get(&engine, 1, 30), None);
    let stats = engine.stats().checkpoints;
    assert_eq!((stats.shards, stats.shards_elsewhere), (0, 5), "nothing is copied to this node");
    // The job goes on here: steps leave the store by the same rules.
    save(&engine, 30, 2000);
    save(&engine, 40, 3000);
    settle(&engine);
    assert_eq!(latest(&engine), Some(vec![40, 30, 20]));
    assert_eq!(keys(&server, "/10/"), [""; 0]);
    assert_eq!(get(&engine, 0, 30), Some(Ok(bytes(2000, 30))));
    drop(engine);
    // A third node, and then none has anything of the job.
    let third = Node::new(&server);
    let engine = third.engine(1);
    assert_eq!(latest(&engine), Some(vec![40, 30, 20]));
    run(engine.checkpoints().remove_namespace(&CALLER, &bucket("job"))).unwrap();
    settle(&engine);
    assert_eq!(keys(&server, ""), [""; 0]);
    assert_eq!(latest(&engine), None);
}

#[test]
fn a_replica_is_seen_once_all_of_its_parts_are_stored() {
    let server = Arc::<MemoryServer>::default();
    let (node, other) = (Node::new(&server), Node::new(&server));
    let engine = node.engine(1);
    engine.checkpoints().create(&CALLER, &bucket("job"), SHAPE).unwrap();
    settle(&engine);
    // Room for the first part alone.
    server.set_capacity(ByteSize::kib((16 << 10) + 1));
    put(&engine, 0, 10, &bytes(LARGE, 10));
    until("the first part", || keys(&server, "part/").len() == 1);
    let second = other.engine(1);
    run(second.checkpoints().refresh(&CALLER, &bucket("job")));
    assert_eq!(get(&second, 0, 10), None);
    server.set_capacity(ByteSize::mib(64));
    settle(&engine);
    assert!(get(&second, 0, 10) == Some(Ok(bytes(LARGE, 10))));
    // A rewritten shard takes its place there as well.
    put(&engine, 0, 10, b"rewritten");
    settle(&engine);
    run(second.checkpoints().refresh(&CALLER, &bucket("job")));
    assert_eq!(get(&second, 0, 10), Some(Ok(b"rewritten".to_vec())));
    assert_eq!((keys(&server, "part/").len(), keys(&server, "shard/").len()), (1, 1));
}

#[test]
fn a_corrupt_part_is_never_given_out_for_a_shard() {
    let server = Arc::<MemoryServer>::default();
    let (node, other) = (Node::new(&server), Node::new(&server));
    let engine = node.engine(1);
    engine.checkpoints().create(&CALLER, &bucket("job"), SHAPE).unwrap();
    put(&engine, 0, 10, &bytes(LARGE, 10));
    settle(&engine);
    let second = other.engine(1);
    run(second.checkpoints().refresh(&CALLER, &bucket("job")));
    let part = server.names().into_iter().find(|name| name.key.as_str().ends_with("/1")).unwrap();
    server.damage(&part, &Damage::FlipBit);
    assert!(get(&second, 0, 10).unwrap().is_err());
    assert!(get(&engine, 0, 10) == Some(Ok(bytes(LARGE, 10))), "the node itself has it");
}

#[test]
fn a_store_that_fails_keeps_no_shard_from_being_stored() {
    let server = Arc::<MemoryServer>::default();
    let node = Node::new(&server);
    let engine = node.engine(1);
    engine.checkpoints().create(&CALLER, &bucket("job"), SHAPE).unwrap();
    settle(&engine);
    server.set_failing(true);
    save(&engine, 10, 1000);
    assert_eq!(latest(&engine), Some(vec![10]));
    assert_eq!(engine.stats().checkpoints.replicas_waiting, 2);
    let refused = run(engine.checkpoints().remove_namespace(&CALLER, &bucket("job")));
    assert_eq!(refused, Err(CheckpointRefused::StoreFailed));
    assert_eq!(latest(&engine), Some(vec![10]), "a removal that fails takes nothing");
    server.set_failing(false);
    settle(&engine);
    assert_eq!(keys(&server, "shard/").len(), 2);
}

#[test]
fn a_start_copies_the_shards_that_the_store_does_not_have() {
    let server = Arc::<MemoryServer>::default();
    let mut node = Node::new(&server);
    let engine = node.engine(1);
    engine.checkpoints().create(&CALLER, &bucket("job"), SHAPE).unwrap();
    put(&engine, 0, 10, &bytes(LARGE, 10));
    settle(&engine);
    drop(engine);
    let record = server.names().into_iter().find(|name| name.key.as_str().starts_with("shard/"));
    server.forget(&record.unwrap());
    // After a reboot, with the shard on the disk.
    node.place = Place::new();
    let engine = node.engine(2);
    settle(&engine);
    drop(engine);
    let other = Node::new(&server);
    let engine = other.engine(1);
    run(engine.checkpoints().refresh(&CALLER, &bucket("job")));
    assert!(get(&engine, 0, 10) == Some(Ok(bytes(LARGE, 10))));
}
