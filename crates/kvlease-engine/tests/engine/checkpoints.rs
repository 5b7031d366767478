//! Checkpoints after a daemon that ended anywhere: what names say is what there is.

use std::future::poll_fn;

use kvlease_engine::{CheckpointRefused, Engine, NamespaceShape, ReadError, ShardPlace, ShardRead};
use kvlease_testing::bytes;
use kvlease_types::{BucketName, ByteSize, Key};
use tokio::time::Instant;

use crate::{
    fixture::{CALLER, CAPACITY, Place, run, store},
    tiers::WAIT,
};

const SHAPE: NamespaceShape = NamespaceShape { num_ranks: 1, steps_retained: 3 };

pub(crate) fn bucket(name: &str) -> BucketName {
    BucketName::retained(name).unwrap()
}

/// Stores an object as a daemon does that is killed before it does more.
fn leave(engine: &Engine, name: &str, key: &str, bytes: &[u8]) {
    let len = Some(ByteSize::new(bytes.len() as u64));
    let mut put = engine.put(&CALLER, bucket(name), Key::new(key).unwrap(), len).unwrap();
    put.write(bytes).unwrap();
    put.seal().unwrap();
}

/// All bytes of a shard.
pub(crate) async fn all(mut read: ShardRead) -> Result<Vec<u8>, ReadError> {
    let mut found = Vec::new();
    while let Some(piece) = poll_fn(|context| read.poll_piece(context)).await? {
        found.extend_from_slice(&piece);
    }
    Ok(found)
}

/// Bytes of a shard, and what its client said of them.
fn read(
    engine: &Engine,
    place: ShardPlace,
) -> Result<(Vec<u8>, Option<String>), CheckpointRefused> {
    let until = Instant::now() + WAIT;
    run(async {
        let (read, meta) = engine.checkpoints().read(&CALLER, &bucket("job"), place, until).await?;
        Ok((all(read).await.unwrap(), meta.map(|meta| meta.to_string())))
    })
}

#[test]
fn a_start_keeps_the_later_of_two_shards_and_removes_what_belongs_to_no_checkpoint() {
    let place = Place::new();
    let engine = place.engine(1);
    engine.checkpoints().create(&CALLER, &bucket("job"), SHAPE).unwrap();
    // Killed between the seal of a rewritten shard and the removal of the earlier one.
    leave(&engine, "job", "shard/0/10/0/7/earlier", b"earlier");
    leave(&engine, "job", "shard/0/10/1/12/later/one", b"later");
    // Killed within the removal of a namespace, whose record goes first.
    leave(&engine, "gone", "shard/0/10/0/1/", b"left over");
    leave(&engine, "job", "of an unknown release", b"left over");
    drop(engine);
    let engine = place.engine(2);
    let shard = ShardPlace { rank: 0, step: 10 };
    let found = read(&engine, shard).unwrap();
    assert_eq!(found, (b"later".to_vec(), Some("later/one".to_owned())));
    assert_eq!(engine.checkpoints().latest(&bucket("job"), 9), Some(vec![10]));
    assert_eq!(engine.stats().catalog.objects, 2, "the namespace and its shard");
    assert_eq!(engine.checkpoints().shape(&bucket("gone")), None);
    // A later write has a higher number than all before.
    let until = Instant::now() + WAIT;
    let checkpoints = engine.checkpoints();
    let len = ByteSize::new(3);
    run(async {
        let mut put =
            checkpoints.put(&CALLER, &bucket("job"), shard, None, len, until).await.unwrap();
        put.write(b"new").await.unwrap();
        put.seal().await.unwrap();
    });
    assert_eq!(read(&engine, shard).unwrap(), (b"new".to_vec(), None));
    assert_eq!(engine.stats().catalog.objects, 2);
}

#[test]
fn a_cold_start_has_no_checkpoints() {
    let place = Place::new();
    let engine = place.engine(1);
    engine.checkpoints().create(&CALLER, &bucket("job"), SHAPE).unwrap();
    drop(engine);
    let engine = place.cold_engine(2);
    assert_eq!(engine.checkpoints().shape(&bucket("job")), None);
    assert_eq!(engine.checkpoints().stats().taken, ByteSize::ZERO);
}

#[test]
fn a_shard_may_be_larger_than_an_object_of_the_cache_and_takes_its_space_at_once() {
    let place = Place::new();
    let engine = place.engine_with(1, |config| config.object_len_max = ByteSize::kib(64));
    engine.checkpoints().create(&CALLER, &bucket("job"), SHAPE).unwrap();
    let len = ByteSize::new(CAPACITY.bytes() / 2);
    for n in 0..CAPACITY.bytes() >> 16 {
        store(&engine, &n.to_string(), &bytes(64 << 10, n)).unwrap();
    }
    let until = Instant::now() + WAIT;
    let shard = ShardPlace { rank: 0, step: 10 };
    let put = run(engine.checkpoints().put(&CALLER, &bucket("job"), shard, None, len, until));
    let mut put = put.unwrap();
    assert_eq!(engine.stats().catalog.being_written, len);
    let sent = bytes(usize::try_from(len.bytes()).unwrap(), 1);
    run(async {
        put.write(&sent).await.unwrap();
        put.seal().await.unwrap();
    });
    assert!(read(&engine, shard).unwrap().0 == sent);
    for n in 0..CAPACITY.bytes() >> 15 {
        store(&engine, &format!("later {n}"), &bytes(64 << 10, n)).unwrap();
    }
    assert!(read(&engine, shard).unwrap().0 == sent, "pressure takes none of it");
}
