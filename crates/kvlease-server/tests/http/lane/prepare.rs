//! Spare reservations: made ahead of need, and named when their object is published.

use std::time::Duration;

use kvlease_api::lane::{
    DoneStatus, LeaseStatus, Mode, PrepareWriter, ReserveStatus, StoreWriter, StoredObject,
};
use kvlease_testing::bytes;
use kvlease_types::{ByteSize, Extent};

use super::client::{Client, acquire, behind_the_deadline, bucket, checksum};
use crate::daemon::{Daemon, WAIT_MAX};

use DoneStatus::{BeingWritten, Done, Exists, Expired, Unknown};

/// A spare reservation, the key that it gets, and the bytes that were written into it.
type Named<'a> = (u64, &'a str, &'a [u8]);

fn prepare(lens: &[u64]) -> impl FnOnce(&mut Vec<u8>, u64) {
    move |out, request| {
        let mut frame = PrepareWriter::begin(out, request);
        lens.iter().for_each(|len| frame.push(ByteSize::new(*len)).unwrap());
        frame.finish();
    }
}

fn store(objects: &[Named<'_>]) -> impl FnOnce(&mut Vec<u8>, u64) {
    move |out, request| {
        let mut frame = StoreWriter::begin(out, request, &bucket());
        for (write, key, bytes) in objects {
            let (checksum, len) = (checksum(bytes), ByteSize::new(bytes.len() as u64));
            frame.push(StoredObject { write: *write, checksum, len, key }).unwrap();
        }
        frame.finish();
    }
}

fn prepare_one(client: &mut Client, len: u64) -> (u64, Vec<Extent>) {
    client.call(prepare(&[len])).reservations().remove(0).unwrap()
}

#[test]
fn an_object_is_published_and_the_next_space_is_reserved_with_one_exchange() {
    let daemon = Daemon::start();
    let mut client = Client::writer(&daemon);
    let (mut spare, object) = (prepare_one(&mut client, 8_192), bytes(5_000, 1));
    for key in ["a", "b", "c"] {
        let (name, extents) = &spare;
        client.fill(&[Extent { len: ByteSize::new(5_000), ..extents[0] }], &object);
        assert_eq!(client.acquire(&[key]), [Err(LeaseStatus::Absent)], "it has no key yet");
        let mut frames = Vec::new();
        store(&[(*name, key, &object)])(&mut frames, 1);
        prepare(&[8_192])(&mut frames, 2);
        client.raw.send(&frames);
        assert_eq!(client.raw.receive().statuses(), [Done]);
        let (grant, found) = {
            let next = client.raw.receive();
            spare = next.reservations().remove(0).unwrap();
            client.lease(key)
        };
        assert_eq!((grant.checksum, client.read(&found)), (checksum(&object), object.clone()));
        assert_eq!(client.generation(grant.slot), grant.generation);
    }
    assert_eq!(daemon.stats().writes, 1);
    let stored = daemon.metric("kvlease_lane_items_total{kind=\"store\",status=\"done\"}");
    assert_eq!((stored, daemon.metric("kvlease_lane_written_bytes_total")), (3.0, 15_000.0));
}

#[test]
fn a_spare_whose_key_is_taken_stays_open_and_one_that_is_misused_does_not() {
    let daemon = Daemon::start();
    daemon.put("there", b"abc");
    let (mut client, mut other) = (Client::writer(&daemon), Client::writer(&daemon));
    let object = bytes(100, 1);
    let (spare, extents) = prepare_one(&mut client, 100);
    client.fill(&extents, &object);
    let (named, _) = client.reserve_one("pending", 100);
    assert_eq!(other.call(store(&[(spare, "k", &object)])).statuses(), [Unknown]);
    assert_eq!(client.call(store(&[(spare, "there", &object)])).statuses(), [Exists]);
    assert_eq!(client.call(store(&[(spare, "pending", &object)])).statuses(), [BeingWritten]);
    let twice: [Named<'_>; 2] = [(spare, "k", &object), (spare, "again", &object)];
    assert_eq!(client.call(store(&twice)).statuses(), [Done, Unknown]);
    assert_eq!(client.call(store(&[(named, "other", &object)])).statuses(), [Unknown]);
    let (spare, _) = prepare_one(&mut client, 100);
    assert_eq!(client.commit(&[(spare, checksum(&object))]), [Unknown]);
    let (spare, _) = prepare_one(&mut client, 99);
    assert_eq!(client.call(store(&[(spare, "long", &object)])).statuses(), [Unknown]);
    let (spare, _) = prepare_one(&mut client, 99);
    assert_eq!(client.abort(&[spare, spare]), [Done, Unknown]);
    assert_eq!(daemon.stats().writes, 0);
    let names = ["there", "k", "again", "pending", "other", "long"];
    let expected = [Done, Done, Unknown, Unknown, Unknown, Unknown];
    assert_eq!(client.exists(&names, Mode::Each), expected);
}

#[test]
fn spares_are_refused_for_their_reasons() {
    let daemon = Daemon::start();
    let mut reader = Client::reader(&daemon);
    let refused = reader.call(prepare(&[1, 2])).reservations();
    assert_eq!(refused, vec![Err(ReserveStatus::NotWritable); 2]);
    let mut client = Client::writer(&daemon);
    let share = daemon.stats().capacity / 64;
    let answer = client.call(prepare(&[share, 1, u64::MAX])).reservations();
    let statuses = answer.into_iter().map(Result::err).collect::<Vec<_>>();
    let limited = Some(ReserveStatus::TooManyReservations);
    assert_eq!(statuses, [None, limited, Some(ReserveStatus::TooLarge)]);
}

#[test]
fn a_client_that_goes_away_leaves_no_spare() {
    let daemon = Daemon::start();
    let mut client = Client::writer(&daemon);
    prepare_one(&mut client, 4_096);
    client.send(prepare(&[4_096, 4_096]));
    daemon.until("the reservations", |stats| stats.writes == 3);
    drop(client);
    daemon.until("their end", |stats| stats.writes == 0);
    assert_eq!(daemon.stats().free, daemon.stats().populated);
}

#[test]
fn a_spare_ends_some_grace_after_its_deadline() {
    let two = |client: &mut Client| [(); 2].map(|()| prepare_one(client, 100).0);
    behind_the_deadline(two, |daemon, client, [late, _], ended| {
        let stored = client.call(store(&[(late, "late", &[7; 100])])).statuses();
        assert_eq!(stored, [if ended { Unknown } else { Expired }]);
        let left = u64::from(!ended);
        assert_eq!(daemon.stats().writes, left, "the other one may still be written to");
    });
}

#[test]
fn who_waits_for_a_key_that_is_written_elsewhere_is_not_woken_by_a_spare() {
    let daemon = Daemon::start();
    let (mut writer, mut other) = (Client::writer(&daemon), Client::writer(&daemon));
    let mut reader = Client::reader(&daemon);
    let (name, extents) = writer.reserve_one("k", 100);
    let (spare, _) = prepare_one(&mut other, 100);
    reader.send(acquire(&["k"], Mode::Each, WAIT_MAX));
    assert_eq!(other.call(store(&[(spare, "k", &[9; 100])])).statuses(), [BeingWritten]);
    assert!(reader.raw.is_silent_for(Duration::from_millis(30)));
    writer.fill(&extents, &bytes(100, 1));
    assert_eq!(writer.commit(&[(name, checksum(&bytes(100, 1)))]), [Done]);
    let (_, records) = reader.raw.receive().leases();
    assert_eq!(reader.read(&records[0].as_ref().unwrap().1), bytes(100, 1));
}
