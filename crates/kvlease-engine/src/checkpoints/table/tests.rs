use super::*;

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
    let completed = table.complete(&bucket(), place, Shard::new(name, ByteSize::mib(1)));
    steps_of(&completed.steps)
}

fn steps_of(steps: &[Vec<Key>]) -> Vec<u64> {
    let step = |keys: &Vec<Key>| match Record::parse(keys[0].as_str()) {
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
            again.restore(&bucket(), place, Shard::new(name, ByteSize::new(shard.charge)));
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
    assert_eq!(table.taken(), CHARGE_MIN + 6 * MIB);
    let capacity = ByteSize::new(CHARGE_MIN + 6 * MIB);
    // The newest whole step and the one that is written stay.
    assert_eq!(table.hold(&bucket(), 20, 3 * MIB, capacity), None);
    assert_eq!(whole(&table), [30, 20, 10], "a refusal takes nothing");
    assert_eq!(steps_of(&table.hold(&bucket(), 40, MIB, capacity).unwrap()), [10]);
    assert_eq!(steps_of(&table.hold(&bucket(), 40, MIB, capacity).unwrap()), NONE);
    assert_eq!(steps_of(&table.hold(&bucket(), 40, 2 * MIB, capacity).unwrap()), [20]);
    assert_eq!(table.hold(&bucket(), 40, MIB, capacity), None);
    table.give_back(4 * MIB);
    assert_eq!((table.taken(), whole(&table)), (CHARGE_MIN + 2 * MIB, vec![30]));
    assert!(!table.has_room_for_namespace(ByteSize::new(table.taken())));
    assert!(table.has_room_for_namespace(capacity));
    assert_eq!(table.hold(&bucket(), 40, u64::MAX, capacity), None);
}

#[test]
fn of_two_writes_of_one_shard_the_later_one_stays() {
    let mut table = table(1, 3);
    let place = ShardPlace { rank: 0, step: 10 };
    let (first, second) = (begin(&mut table, 10, 0), begin(&mut table, 10, 0));
    let key = |name: &ShardName| Record::Shard(name.clone()).key();
    let (first_key, second_key) = (key(&first), key(&second));
    let shard = |name: ShardName| Shard::new(name, ByteSize::mib(1));
    assert_eq!(table.complete(&bucket(), place, shard(second.clone())).replaced, None);
    let late = table.complete(&bucket(), place, shard(first)).replaced;
    assert_eq!(late, Some(first_key.clone()));
    assert_eq!(table.shard(&bucket(), place).unwrap().key, second_key);
    assert_eq!(table.taken(), CHARGE_MIN + MIB);
    // What is gone is forgotten under its own key alone.
    table.forget(&bucket(), place, &first_key);
    assert!(table.shard(&bucket(), place).is_some());
    table.forget(&bucket(), place, &second_key);
    assert_eq!((table.shard(&bucket(), place).is_none(), table.taken()), (true, CHARGE_MIN));
    assert!(begin(&mut table, 10, 0).sequence > second.sequence);
}

#[test]
fn a_namespace_leaves_with_its_record_first_and_metadata_before_the_shards_that_it_describes() {
    let mut table = table(2, 3);
    (0..2).for_each(|rank| drop(write(&mut table, 10, rank)));
    let keys = table.remove_namespace(&bucket()).unwrap();
    let records: Vec<_> = keys.iter().map(|key| Record::parse(key.as_str()).unwrap()).collect();
    let ranks = records.iter().map(|record| match record {
        Record::Namespace(_) => None,
        Record::Shard(name) => Some(name.place.rank),
    });
    assert_eq!(ranks.collect::<Vec<_>>(), [None, Some(1), Some(0)]);
    assert_eq!((table.taken(), table.stats(ByteSize::ZERO).namespaces), (0, 0));
    assert!(table.remove_namespace(&bucket()).is_none());
}

#[test]
fn small_shards_are_charged_for_their_names() {
    let charges = [0, 1, CHARGE_MIN, CHARGE_MIN + 1].map(|len| charge(ByteSize::new(len)));
    assert_eq!(charges, [CHARGE_MIN, CHARGE_MIN, CHARGE_MIN, CHARGE_MIN + UNIT.bytes()]);
    assert_eq!(charge(ByteSize::new(u64::MAX)), u64::MAX);
}
