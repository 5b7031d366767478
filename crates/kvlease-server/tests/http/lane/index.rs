//! The published index over the fast lane: passed with its descriptors, and told of what is read.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use kvlease_api::lane::{Answer, DoneStatus, Indexed, KeysWriter, Mode, UsedWriter, write_index};
use kvlease_sys::{Access, FingerprintKey, IndexTable, Mapping};
use kvlease_testing::bytes;
use kvlease_types::Offset;

use super::client::{Client, bucket, keys};
use crate::daemon::Daemon;

use DoneStatus::{Done, Unknown};

/// Where the epoch is in the file of the incarnation.
const EPOCH_AT: u64 = 4096;

/// The table of an answer to an INDEX, and the file of the incarnation.
fn passed(client: &mut Client, indexed: Indexed) -> (IndexTable, File) {
    let [index, incarnation]: [OwnedFd; 2] = client.raw.take_descriptors().try_into().unwrap();
    let table = IndexTable::map(index.as_fd(), indexed.slots, Access::Read).unwrap();
    assert!(table.has_header());
    (table, incarnation.into())
}

fn indexed(answer: Answer<'_>) -> Indexed {
    let Answer::Indexed(indexed) = answer else { panic!("{answer:?}") };
    indexed
}

#[test]
fn what_the_index_names_is_the_object() {
    let daemon = Daemon::start();
    let mut client = Client::reader(&daemon);
    let answer = client.call(write_index);
    let indexed = indexed(answer.answer());
    let (table, incarnation) = passed(&mut client, indexed);
    let fingerprints = FingerprintKey::new(indexed.secret).of_bucket("b");
    let fingerprint = fingerprints.of_key("k");
    assert_eq!(table.find(fingerprint), None);
    let sent = bytes(300_000, 1);
    daemon.put("k", &sent);
    let (slot, cell) = table.find(fingerprint).unwrap();
    assert_eq!(client.generation(slot), cell.generation);
    assert_eq!(client.read(&[cell.extent]), sent);
    let mapping = Mapping::new(incarnation.as_fd(), 4104, Access::Read).unwrap();
    let epoch = mapping.word(Offset::new(EPOCH_AT)).generation();
    assert_eq!(epoch, client.welcome.epoch.number());
    assert_eq!(client.remove(&["k"]), [Done]);
    assert_eq!(table.find(fingerprint), None);
}

#[test]
fn descriptors_come_with_their_answer_among_others() {
    let daemon = Daemon::start();
    let mut client = Client::reader(&daemon);
    let exists = |out: &mut Vec<u8>, request| {
        keys(KeysWriter::exists(out, request, &bucket(), Mode::Each), &["k"]);
    };
    let mut frames = Vec::new();
    exists(&mut frames, 1);
    write_index(&mut frames, 2);
    write_index(&mut frames, 3);
    exists(&mut frames, 4);
    client.raw.send(&frames);
    for request in 1..=4 {
        let received = client.raw.receive();
        assert_eq!(received.request(), request);
        match request {
            2 | 3 => assert!(indexed(received.answer()).slots > 0),
            _ => assert_eq!(received.statuses(), [Unknown]),
        }
    }
    assert_eq!(client.raw.take_descriptors().len(), 4);
}

#[test]
fn reads_without_a_lease_are_noted() {
    let daemon = Daemon::start();
    daemon.put("k", b"k");
    let mut client = Client::reader(&daemon);
    let (grant, _) = client.lease("k");
    let used = |silent| {
        move |out: &mut Vec<u8>, request| {
            let mut frame = UsedWriter::begin(out, request, 7, silent);
            frame.push(grant.slot, grant.generation).unwrap();
            frame.push(grant.slot, grant.generation + 1).unwrap();
            assert_eq!(frame.finish(), 2);
        }
    };
    assert_eq!(client.call(used(false)).statuses(), [Done, Unknown]);
    client.send(used(true));
    daemon.eventually("the second note", || daemon.metric("kvlease_index_reads_total") == 14.0);
    assert!(client.raw.is_silent_for(Duration::from_millis(100)));
}
