//! Shards in files: beyond the arena's share, through restarts with and without the arena, and out again.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use kvlease_engine::{
    CheckpointRefused, CheckpointStats, Engine, NamespaceShape, ReadError, ShardDisk, ShardPlace,
};
use kvlease_testing::bytes;
use kvlease_types::{ByteSize, Mode, WriteRefused};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    checkpoints::{all, bucket},
    fixture::{CALLER, CAPACITY, Place, run, store},
    tiers::WAIT,
};

const RANKS: u32 = 2;
const SHAPE: NamespaceShape = NamespaceShape { num_ranks: RANKS, steps_retained: 2 };

/// Larger than the arena, and no whole number of pieces.
const LARGE: usize = 9 * (1 << 20) + 4321;

/// Engines with one directory for files.
struct Node {
    arena: Place,
    disk: TempDir,
    capacity: ByteSize,
    memory: ByteSize,
}

impl Node {
    fn new() -> Self {
        let disk = TempDir::with_prefix_in("kvlease-test-", "/dev/shm").unwrap();
        Self { arena: Place::new(), disk, capacity: ByteSize::mib(64), memory: CAPACITY }
    }

    fn engine(&self, epoch: u64) -> Engine {
        self.arena.engine_with(epoch, |config| {
            config.checkpoint_max = self.memory;
            config.checkpoint_disk =
                Some(ShardDisk { path: self.files_dir(), capacity: self.capacity });
        })
    }

    /// A start after a reboot: the arena is gone.
    fn rebooted(&mut self, epoch: u64) -> Engine {
        self.arena = Place::new();
        self.engine(epoch)
    }

    fn files_dir(&self) -> PathBuf {
        self.disk.path().join("checkpoints")
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.files_dir()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn create(engine: &Engine) {
    engine.checkpoints().create(&CALLER, &bucket("job"), SHAPE).unwrap();
}

fn until() -> Instant {
    Instant::now() + WAIT
}

fn put(engine: &Engine, rank: u32, step: u64, sent: &[u8]) -> Result<(), CheckpointRefused> {
    let (job, place) = (bucket("job"), ShardPlace { rank, step });
    run(async {
        let len = ByteSize::new(sent.len() as u64);
        let meta = Some(format!("rank/{rank}").into());
        let checkpoints = engine.checkpoints();
        let mut put = checkpoints.put(&CALLER, &job, place, meta, len, until()).await?;
        for piece in sent.chunks(300_000) {
            put.write(piece).await?;
        }
        put.seal().await.map(drop)
    })
}

fn get(engine: &Engine, rank: u32, step: u64) -> Option<Vec<u8>> {
    read(engine, rank, step).map(|read| read.expect("its bytes are whole"))
}

fn read(engine: &Engine, rank: u32, step: u64) -> Option<Result<Vec<u8>, ReadError>> {
    let place = ShardPlace { rank, step };
    run(async {
        let read = engine.checkpoints().read(&CALLER, &bucket("job"), place, until()).await;
        let (read, meta) = match read {
            Ok(found) => found,
            Err(CheckpointRefused::NoShard) => return None,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(meta.as_deref(), Some(format!("rank/{rank}").as_str()));
        Some(all(read).await)
    })
}

fn save(engine: &Engine, step: u64, len: usize) {
    for rank in 0..RANKS {
        put(engine, rank, step, &bytes(len, step + u64::from(rank))).unwrap();
    }
}

fn latest(engine: &Engine) -> Vec<u64> {
    engine.checkpoints().latest(&bucket("job"), 9).unwrap()
}

fn stats(engine: &Engine) -> CheckpointStats {
    engine.checkpoints().stats()
}

fn assert_step(engine: &Engine, step: u64, len: usize) {
    for rank in 0..RANKS {
        let found = get(engine, rank, step).expect("the shard is there");
        assert!(found == bytes(len, step + u64::from(rank)), "rank {rank} of step {step}");
    }
}

#[test]
fn a_shard_larger_than_the_arena_is_there_after_a_kill_and_after_a_reboot() {
    let mut node = Node::new();
    let engine = node.engine(1);
    create(&engine);
    save(&engine, 10, LARGE);
    assert_step(&engine, 10, LARGE);
    assert_eq!((latest(&engine), stats(&engine).shards_on_disk), (vec![10], 2));
    // One that memory has room for stays there.
    put(&engine, 0, 20, b"small").unwrap();
    assert_eq!(stats(&engine).shards_on_disk, 2);
    let before = stats(&engine);
    drop(engine);
    let engine = node.engine(2);
    assert_eq!((latest(&engine), stats(&engine)), (vec![10], before));
    assert_step(&engine, 10, LARGE);
    assert_eq!(get(&engine, 0, 20), Some(b"small".to_vec()));
    drop(engine);
    let engine = node.rebooted(3);
    assert_eq!(engine.checkpoints().shape(&bucket("job")), Some(SHAPE));
    assert_eq!(latest(&engine), [10]);
    assert_step(&engine, 10, LARGE);
    assert_eq!(get(&engine, 0, 20), None, "what was in memory alone is gone");
    // A namespace that was found again keeps what is stored in memory from then on.
    put(&engine, 1, 30, b"in memory").unwrap();
    drop(engine);
    let engine = node.engine(4);
    assert_eq!(get(&engine, 1, 30), Some(b"in memory".to_vec()));
}

#[test]
fn more_than_the_arena_goes_through_it_and_steps_leave_both_media_as_a_whole() {
    let node = Node::new();
    let engine = node.engine(1);
    create(&engine);
    // Five times the arena: of 2 x 3 MiB a step memory has one and a half.
    for step in (10..=70).step_by(10) {
        save(&engine, step, 3 << 20);
        let newest = if step == 10 { vec![10] } else { vec![step, step - 10] };
        assert_eq!(latest(&engine), newest);
        newest.into_iter().for_each(|step| assert_step(&engine, step, 3 << 20));
    }
    let CheckpointStats { shards, shards_on_disk, .. } = stats(&engine);
    assert_eq!((shards, node.files().len() as u64), (4, shards_on_disk));
    assert!(shards_on_disk > 0);
    run(engine.checkpoints().reset(&CALLER));
    assert_eq!((node.files(), stats(&engine).disk_taken), (vec![], ByteSize::ZERO));
    assert_eq!(engine.checkpoints().shape(&bucket("job")), None);
    drop(engine);
    assert_eq!(node.engine(2).checkpoints().shape(&bucket("job")), None);
}

#[test]
fn a_shard_is_rewritten_and_removed_on_either_medium() {
    let node = Node::new();
    let engine = node.engine(1);
    create(&engine);
    put(&engine, 0, 10, &bytes(LARGE, 1)).unwrap();
    put(&engine, 0, 10, b"in memory").unwrap();
    assert_eq!((node.files(), get(&engine, 0, 10)), (vec![], Some(b"in memory".to_vec())));
    put(&engine, 0, 10, &bytes(LARGE, 2)).unwrap();
    assert!(get(&engine, 0, 10) == Some(bytes(LARGE, 2)));
    put(&engine, 0, 10, &bytes(LARGE, 3)).unwrap();
    assert_eq!(node.files().len(), 1);
    // A read that has begun goes on to its end.
    let place = ShardPlace { rank: 0, step: 10 };
    let found = run(async {
        let checkpoints = engine.checkpoints();
        let (read, _) = checkpoints.read(&CALLER, &bucket("job"), place, until()).await.unwrap();
        checkpoints.remove(&CALLER, &bucket("job"), place).await.unwrap();
        all(read).await.unwrap()
    });
    assert!(found == bytes(LARGE, 3));
    assert_eq!((node.files(), get(&engine, 0, 10)), (vec![], None));
    assert_eq!(stats(&engine).disk_taken, ByteSize::ZERO);
}

#[test]
fn neither_quota_nor_a_broken_off_shard_leaves_anything_behind() {
    let mut node = Node::new();
    node.capacity = ByteSize::mib(12);
    let engine = node.engine(1);
    create(&engine);
    put(&engine, 0, 10, &bytes(LARGE, 1)).unwrap();
    let taken = stats(&engine);
    let refused = put(&engine, 1, 10, &bytes(LARGE, 1)).unwrap_err();
    assert!(matches!(refused, CheckpointRefused::NoRoom { .. }), "{refused}");
    // A step that is not whole leaves for it.
    put(&engine, 1, 20, &bytes(LARGE, 2)).unwrap();
    assert_eq!((get(&engine, 0, 10), node.files().len()), (None, 1));
    let place = ShardPlace { rank: 0, step: 20 };
    run(async {
        let len = ByteSize::mib(2);
        engine
            .checkpoints()
            .remove(&CALLER, &bucket("job"), ShardPlace { rank: 1, step: 20 })
            .await
            .unwrap();
        let job = bucket("job");
        let begin = |len| engine.checkpoints().put(&CALLER, &job, place, None, len, until());
        let large = ByteSize::new(LARGE as u64);
        // Two pieces: one is on its way to the disk when it breaks off.
        let mut broken = begin(large).await.unwrap();
        broken.write(&bytes(2 << 20, 1)).await.unwrap();
        assert_eq!(node.files().len(), 1);
        drop(broken);
        let mut short = begin(large).await.unwrap();
        short.write(b"short").await.unwrap();
        let error = short.seal().await.unwrap_err();
        assert!(matches!(error, CheckpointRefused::Write(WriteRefused::Incomplete { .. })));
        let mut long = begin(large).await.unwrap();
        let error = long.write(&vec![0; LARGE + 1]).await.unwrap_err();
        assert!(matches!(error, CheckpointRefused::Write(WriteRefused::TooLong { .. })));
        drop(long);
        drop(begin(len).await.unwrap());
    });
    assert_eq!((node.files(), stats(&engine).disk_taken), (vec![], ByteSize::ZERO));
    assert_eq!(stats(&engine).taken, taken.taken, "the namespace");
}

#[test]
fn a_namespace_that_is_removed_meanwhile_keeps_no_file() {
    let node = Node::new();
    let engine = node.engine(1);
    create(&engine);
    let place = ShardPlace { rank: 0, step: 10 };
    let sent = bytes(LARGE, 1);
    let refused = run(async {
        let (checkpoints, len) = (engine.checkpoints(), ByteSize::new(LARGE as u64));
        let put = checkpoints.put(&CALLER, &bucket("job"), place, None, len, until()).await;
        let mut put = put.unwrap();
        put.write(&sent).await.unwrap();
        checkpoints.remove_namespace(&CALLER, &bucket("job")).await.unwrap();
        create(&engine);
        put.seal().await.unwrap_err()
    });
    assert_eq!(refused, CheckpointRefused::NoNamespace);
    assert_eq!((node.files(), stats(&engine).disk_taken), (vec![], ByteSize::ZERO));
}

#[test]
fn a_start_takes_whole_files_alone() {
    let node = Node::new();
    let engine = node.engine(1);
    create(&engine);
    save(&engine, 10, LARGE);
    save(&engine, 20, LARGE);
    assert_eq!(latest(&engine), [20, 10]);
    drop(engine);
    let files = node.files();
    // A daemon that was killed before the name, and a file system that lost the end of a file.
    let whole = fs::read(&files[0]).unwrap();
    fs::write(files[0].with_file_name("00000000000000ff.part"), &whole).unwrap();
    fs::write(files[0].with_file_name("note"), b"not a shard").unwrap();
    OpenOptions::new().write(true).open(&files[1]).unwrap().set_len(LARGE as u64).unwrap();
    let engine = node.engine(2);
    assert_eq!(stats(&engine).shards_on_disk, 3);
    assert_eq!(latest(&engine).len(), 1, "one step has lost a shard");
    assert_eq!(node.files().len(), 4, "three shards and the note");
    let step = latest(&engine)[0];
    assert_step(&engine, step, LARGE);
    // What a namespace of another shape left behind does not come back.
    drop(engine);
    let engine = node.engine(3);
    run(engine.checkpoints().remove_namespace(&CALLER, &bucket("job"))).unwrap();
    let other = NamespaceShape { num_ranks: 7, ..SHAPE };
    engine.checkpoints().create(&CALLER, &bucket("job"), other).unwrap();
    fs::write(&files[0], &whole).unwrap();
    drop(engine);
    let engine = node.engine(4);
    assert_eq!((stats(&engine).shards, node.files().len()), (0, 1));
}

#[test]
fn a_corrupt_file_takes_its_step_off_the_list() {
    let node = Node::new();
    let engine = node.engine(1);
    create(&engine);
    save(&engine, 10, LARGE);
    let [first, second] = <[PathBuf; 2]>::try_from(node.files()).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&first).unwrap();
    let mut byte = [0];
    let at = 4096 + 12_345;
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    let outcomes = [0, 1].map(|rank| read(&engine, rank, 10).unwrap().map(drop));
    assert!(outcomes.contains(&Err(ReadError::Corrupt)) && outcomes.contains(&Ok(())));
    assert_eq!(latest(&engine), [0; 0]);
    // The disk lost the other one.
    drop(File::open(&second).unwrap());
    fs::remove_file(&second).unwrap();
    assert_eq!([0, 1].map(|rank| get(&engine, rank, 10)), [None, None]);
    assert_eq!(stats(&engine).disk_taken, ByteSize::ZERO);
}

#[test]
fn the_disk_takes_a_shard_at_once_that_leases_keep_out_of_the_arena() {
    let node = Node::new();
    let engine = node.engine(1);
    create(&engine);
    for n in 0..7 {
        store(&engine, &n.to_string(), &bytes(1 << 20, n)).unwrap();
    }
    let keys = ["0", "1", "2", "3", "4", "5", "6"];
    let _leased = engine.acquire(&CALLER, "b", &keys, Mode::Each, None);
    put(&engine, 0, 10, &bytes(4 << 20, 1)).unwrap();
    assert_eq!((stats(&engine).shards_on_disk, node.files().len()), (1, 1));
    let namespace = ByteSize::kib(64);
    assert_eq!(stats(&engine).taken, namespace, "the memory's quota has its part back");
}

#[test]
fn a_disk_that_fails_leaves_shards_to_the_arena_as_if_there_were_none() {
    let node = Node::new();
    let engine = node.engine(1);
    create(&engine);
    fs::remove_dir(node.files_dir()).unwrap();
    for step in [10, 20, 30] {
        // The third step has room once the first one leaves.
        save(&engine, step, 1_700_000);
    }
    assert_eq!((latest(&engine), stats(&engine).shards_on_disk), (vec![30, 20], 0));
    let refused = put(&engine, 0, 40, &bytes(LARGE, 1)).unwrap_err();
    assert!(matches!(refused, CheckpointRefused::NoRoom { .. }), "{refused}");
    assert_eq!(stats(&engine).disk_taken, ByteSize::ZERO);
}

#[test]
fn checkpoints_may_be_on_the_disk_alone() {
    let mut node = Node::new();
    node.memory = ByteSize::ZERO;
    let engine = node.engine(1);
    create(&engine);
    save(&engine, 10, 1000);
    put(&engine, 0, 20, b"").unwrap();
    assert_eq!((latest(&engine), stats(&engine).shards_on_disk), (vec![10], 3));
    assert_eq!(get(&engine, 0, 20), Some(Vec::new()));
    drop(engine);
    let engine = node.rebooted(2);
    assert_eq!(latest(&engine), [10]);
    assert_step(&engine, 10, 1000);
}
