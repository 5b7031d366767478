use kvlease_types::Checksum;

use super::{super::quota::CHARGE_MIN, *};

const NONE: [u64; 0] = [];
const MIB: u64 = 1 << 20;

fn bucket() -> BucketName {
    BucketName::retained("job").unwrap()
}

/// A table with one namespace.
fn table(num_ranks: u32, steps_retained: u32) -> Table {
    let mut table = Table::default();
    let shape = NamespaceShape { num_ranks, steps_retained };
    table.add_namespace(&bucket(), shape, Record::Namespace(shape).key());
    table
}

/// Writes a shard of 1 MiB, from its begin to its end. Returns the steps that left for it.
fn write(table: &mut Table, step: u64, rank: u32) -> Vec<u64> {
    let name = begin(table, step, rank);
    end(table, name)
}

fn begin(table: &mut Table, step: u64, rank: u32) -> ShardName {
    table.namespace_mut(&bucket()).unwrap().next_name(ShardPlace { rank, step }, None)
}

fn end(table: &mut Table, name: ShardName) -> Vec<u64> {
    let place = name.place;
    let completed = table.complete(&bucket(), place, Shard::new(name, ByteSize::mib(1), None));
    steps_of(&completed.steps)
}

/// Takes room for this many MiB. Returns its medium, and the steps that left for it.
fn hold(table: &mut Table, step: u64, mib: u64) -> Option<(Medium, Vec<u64>)> {
    let room = table.hold(&bucket(), step, ByteSize::mib(mib), &Medium::ALL)?;
    Some((room.charge.medium, steps_of(&room.steps)))
}

fn taken(table: &Table) -> u64 {
    table.quota.taken(Medium::Memory).bytes()
}

/// Gives the table this much room, beside what it has taken.
fn give_room(table: &mut Table, memory_mib: u64, disk_mib: u64) {
    let memory = ByteSize::new(taken(table) + memory_mib * MIB);
    let mut quota = Quota::new(memory, ByteSize::mib(disk_mib));
    quota.store(Charge { medium: Medium::Memory, bytes: taken(table) });
    table.quota = quota;
}

fn steps_of(steps: &[Vec<Gone>]) -> Vec<u64> {
    let step = |gone: &Vec<Gone>| match Record::parse(gone[0].key.as_str()) {
        Some(Record::Shard(name)) => name.place.step,
        other => panic!("{other:?}"),
    };
    steps.iter().map(step).collect()
}

fn whole(table: &Table) -> Vec<u64> {
    table.namespace(&bucket()).unwrap().whole_steps()
}

/// The table as a start makes it from the names of the objects.
fn reloaded(table: &Table) -> Table {
    let shape = table.namespace(&bucket()).unwrap().shape;
    let mut again = self::table(shape.num_ranks, shape.steps_retained);
    for step in table.namespace(&bucket()).unwrap().steps.values() {
        for shard in step.shards.values() {
            let Some(Record::Shard(name)) = Record::parse(shard.key.as_str()) else { panic!() };
            let place = name.place;
            again.restore(&bucket(), place, Shard::new(name, ByteSize::mib(1), None));
        }
    }
    again
}

#[test]
fn a_step_is_whole_once_every_rank_has_its_shard() {
    let mut table = table(3, 3);
    assert_eq!(write(&mut table, 10, 2), NONE);
    write(&mut table, 10, 0);
    assert_eq!(whole(&table), NONE);
    write(&mut table, 10, 1);
    assert_eq!(whole(&table), [10]);
    // A rank beyond those that the namespace was made for is needed as well.
    write(&mut table, 20, 4);
    (0..3).for_each(|rank| drop(write(&mut table, 20, rank)));
    assert_eq!(whole(&table), [10]);
    write(&mut table, 20, 3);
    assert_eq!(whole(&table), [20, 10]);
}

#[test]
fn a_rewritten_step_is_whole_again_once_all_ranks_have_rewritten_it() {
    let mut table = table(3, 3);
    (0..3).for_each(|rank| drop(write(&mut table, 10, rank)));
    (0..3).for_each(|rank| drop(write(&mut table, 20, rank)));
    // Two ranks begin before either ends.
    let names = [begin(&mut table, 20, 1), begin(&mut table, 20, 0)];
    assert_eq!(whole(&table), [20, 10]);
    for name in names {
        end(&mut table, name);
        assert_eq!(whole(&table), [10]);
        assert_eq!(whole(&reloaded(&table)), [10], "a start knows the rounds as well");
    }
    write(&mut table, 20, 2);
    assert_eq!(whole(&table), [20, 10]);
    assert_eq!(whole(&reloaded(&table)), [20, 10]);
}

#[test]
fn the_oldest_steps_leave_as_a_whole_and_the_newest_whole_one_stays() {
    let mut table = table(2, 2);
    for step in [10, 20] {
        (0..2).for_each(|rank| assert_eq!(write(&mut table, step, rank), NONE));
    }
    // The first shard of a third step takes the place of all of the oldest one.
    assert_eq!(write(&mut table, 30, 0), [10]);
    assert_eq!(whole(&table), [20]);
    // Saves that fail leave steps behind, which leave before the one that a restart needs.
    assert_eq!(write(&mut table, 40, 0), [30]);
    assert_eq!(write(&mut table, 50, 0), [40]);
    assert_eq!(whole(&table), [20]);
    assert_eq!(write(&mut table, 50, 1), NONE, "each rank has as many as it retains");
    assert_eq!(whole(&table), [50, 20]);
    // A job that went back to an earlier step keeps what it writes.
    assert_eq!(write(&mut table, 15, 0), [20]);
    assert_eq!(write(&mut table, 15, 1), NONE);
    assert_eq!(whole(&table), [50, 15]);
}

#[test]
fn with_one_step_retained_the_old_one_leaves_when_the_new_one_is_whole() {
    let mut table = table(2, 1);
    (0..2).for_each(|rank| drop(write(&mut table, 10, rank)));
    assert_eq!(write(&mut table, 20, 0), NONE);
    assert_eq!(write(&mut table, 20, 1), [10]);
    assert_eq!(whole(&table), [20]);
}

#[test]
fn a_quota_without_room_takes_older_steps_or_none() {
    let mut table = table(2, 9);
    for step in [10, 20, 30] {
        (0..2).for_each(|rank| drop(write(&mut table, step, rank)));
    }
    assert_eq!(taken(&table), CHARGE_MIN + 6 * MIB);
    give_room(&mut table, 0, 0);
    let memory = |steps: &[u64]| Some((Medium::Memory, steps.to_vec()));
    // The newest whole step and the one that is written stay.
    assert_eq!(hold(&mut table, 20, 3), None);
    assert_eq!(whole(&table), [30, 20, 10], "a refusal takes nothing");
    assert_eq!(hold(&mut table, 40, 1), memory(&[10]));
    assert_eq!(hold(&mut table, 40, 1), memory(&[]));
    assert_eq!(hold(&mut table, 40, 2), memory(&[20]));
    assert_eq!(hold(&mut table, 40, 1), None);
    assert_eq!(table.room_for_namespace(), None);
    table.quota.give_back(Charge { medium: Medium::Memory, bytes: 4 * MIB });
    assert_eq!((taken(&table), whole(&table)), (CHARGE_MIN + 2 * MIB, vec![30]));
    assert_eq!(table.room_for_namespace(), Some(Medium::Memory.charge_of_namespace()));
    assert!(table.hold(&bucket(), 40, ByteSize::new(u64::MAX), &Medium::ALL).is_none());
}

#[test]
fn the_disk_takes_what_memory_has_no_room_for_before_any_step_leaves() {
    let mut table = table(2, 9);
    for step in [10, 20, 30] {
        (0..2).for_each(|rank| drop(write(&mut table, step, rank)));
    }
    give_room(&mut table, 1, 6);
    assert_eq!(hold(&mut table, 40, 1), Some((Medium::Memory, vec![])));
    assert_eq!(hold(&mut table, 40, 3), Some((Medium::Disk, vec![])));
    // One that memory could have for a step fits on the disk as it is.
    assert_eq!(hold(&mut table, 40, 2), Some((Medium::Disk, vec![])));
    assert_eq!(table.hold_on_disk(ByteSize::mib(1)), None, "the header has no room");
    assert_eq!(hold(&mut table, 40, 2), Some((Medium::Memory, vec![10])));
    assert_eq!(hold(&mut table, 40, 7), None);
    assert_eq!(whole(&table), [30, 20]);
}

#[test]
fn a_step_with_files_gives_the_room_of_both_media_back() {
    let mut table = table(2, 9);
    give_room(&mut table, 8, 6);
    let mut on_disk = |step, rank| {
        let name = begin(&mut table, step, rank);
        let file = StoredFile { id: step, len: ByteSize::mib(2), checksum: Checksum::new(0) };
        let (place, shard) = (name.place, Shard::new(name, file.len, Some(file)));
        assert_eq!(table.complete(&bucket(), place, shard).replaced, None);
    };
    on_disk(10, 0);
    on_disk(20, 0);
    write(&mut table, 10, 1);
    write(&mut table, 20, 1);
    let stats = table.stats();
    assert_eq!((stats.shards, stats.shards_on_disk), (4, 2));
    let charge = Medium::Disk.charge(ByteSize::mib(2)).bytes;
    assert_eq!(stats.disk_taken, ByteSize::new(2 * charge));
    // The first step leaves as a whole, for the disk's part of it.
    let room = table.hold(&bucket(), 30, ByteSize::mib(9), &Medium::ALL);
    assert!(room.is_none(), "neither medium has it");
    write(&mut table, 30, 0);
    // Nothing is left of memory.
    let left = table.quota.capacity(Medium::Memory).bytes() - taken(&table);
    table.quota.hold(Charge { medium: Medium::Memory, bytes: left });
    let room = table.hold(&bucket(), 30, ByteSize::mib(3), &Medium::ALL).unwrap();
    assert_eq!((room.charge.medium, steps_of(&room.steps)), (Medium::Disk, vec![10]));
    let files: Vec<_> = room.steps[0].iter().map(|gone| gone.file.map(|file| file.id)).collect();
    assert_eq!(files, [None, Some(10)]);
    let older = begin(&mut table, 20, 0);
    let shard = Shard::new(older.clone(), ByteSize::mib(1), None);
    let replaced = table.complete(&bucket(), older.place, shard).replaced.unwrap();
    assert_eq!(replaced.file.map(|file| file.id), Some(20));
    table.remove_namespace(&bucket()).unwrap();
    assert_eq!(table.stats().disk_taken, ByteSize::new(room.charge.bytes));
}

#[test]
fn of_two_writes_of_one_shard_the_later_one_stays() {
    let mut table = table(1, 3);
    let place = ShardPlace { rank: 0, step: 10 };
    let (first, second) = (begin(&mut table, 10, 0), begin(&mut table, 10, 0));
    let key = |name: &ShardName| Record::Shard(name.clone()).key();
    let (first_key, second_key) = (key(&first), key(&second));
    let shard = |name: ShardName| Shard::new(name, ByteSize::mib(1), None);
    assert_eq!(table.complete(&bucket(), place, shard(second.clone())).replaced, None);
    let late = table.complete(&bucket(), place, shard(first)).replaced;
    assert_eq!(late, Some(Gone { key: first_key.clone(), file: None }));
    assert_eq!(table.shard(&bucket(), place).unwrap().key, second_key);
    assert_eq!(taken(&table), CHARGE_MIN + MIB);
    // What is gone is forgotten under its own key alone.
    table.forget(&bucket(), place, &first_key);
    assert!(table.shard(&bucket(), place).is_some());
    table.forget(&bucket(), place, &second_key);
    assert_eq!((table.shard(&bucket(), place).is_none(), taken(&table)), (true, CHARGE_MIN));
    assert!(begin(&mut table, 10, 0).sequence > second.sequence);
}

#[test]
fn a_namespace_leaves_with_its_record_first_and_metadata_before_the_shards_that_it_describes() {
    let mut table = table(2, 3);
    (0..2).for_each(|rank| drop(write(&mut table, 10, rank)));
    let keys = table.remove_namespace(&bucket()).unwrap();
    let records = keys.iter().map(|gone| Record::parse(gone.key.as_str()).unwrap());
    let records: Vec<_> = records.collect();
    let ranks = records.iter().map(|record| match record {
        Record::Namespace(_) => None,
        Record::Shard(name) => Some(name.place.rank),
    });
    assert_eq!(ranks.collect::<Vec<_>>(), [None, Some(1), Some(0)]);
    assert_eq!((taken(&table), table.stats().namespaces), (0, 0));
    assert!(table.remove_namespace(&bucket()).is_none());
}
