//! The connector against a daemon that knows the three calls of the protocol and nothing more, and
//! that expires, lies and goes away.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

mod fake;

use std::{fs, thread, time::Duration};

use kvlease_connector::{Connector, Severity, SocketChoice};
use kvlease_http::{Error, PutBody, PutOutcome};
use kvlease_sys::ExternalBuffer;
use kvlease_testing::bytes;
use kvlease_types::{ByteSize, Key};

use fake::{Fake, Grant, SEGMENT_LEN, lease, reply};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// Names without characters that would be escaped: the fake compares them as they are on the wire.
fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|number| key(&format!("model-{number:x}"))).collect()
}

/// A connector to a fake that has one object under the key `k`.
async fn with_object(object: &[u8]) -> (Fake, Connector, Key) {
    let fake = Fake::start().await;
    fake.store(&key("k"), object);
    let connector = fake.connector();
    (fake, connector, key("k"))
}

async fn read_rest(object: kvlease_connector::OpenObject, len: usize) -> Result<Vec<u8>, Error> {
    let (buffer, memory) = ExternalBuffer::of_vec(vec![0; len]);
    object.read_rest(buffer).await?;
    Ok(memory.take_back().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_calls_are_enough_for_everything() {
    let fake = Fake::start().await;
    let connector = fake.connector();
    let lens = [1, 28, 4097, 300_000, (3 << 20) + 5];
    let (keys, absent) = (keys(lens.len()), key("absent"));
    let objects: Vec<Vec<u8>> =
        lens.iter().enumerate().map(|(i, len)| bytes(*len, i as u64)).collect();
    connector.ping().await.unwrap();
    let bodies = keys.iter().cloned().zip(objects.iter().cloned().map(PutBody::from)).collect();
    for outcome in connector.batched_put(bodies).await {
        assert_eq!(outcome.unwrap(), PutOutcome::Stored);
    }
    assert_eq!(connector.put(&keys[0], "x").await.unwrap(), PutOutcome::Exists);
    assert!(connector.exists(&keys[0]).await.unwrap());
    assert!(!connector.exists(&absent).await.unwrap());
    let asked: Vec<Key> = keys.iter().chain([&absent]).cloned().collect();
    let found = connector.batched_exists(&asked).await.into_iter().map(Result::unwrap);
    assert!(found.eq([true, true, true, true, true, false]));
    assert_eq!(connector.lookup_prefix(&asked).await.unwrap(), keys.len());
    for held in [true, false] {
        if held {
            assert!(connector.prefetch_leases(&asked).await.into_iter().all(|found| found.is_ok()));
        }
        let read = connector.batched_get(&asked).await;
        for (read, object) in read.into_iter().zip(objects.iter().map(Some).chain([None])) {
            assert!(read.unwrap().as_ref() == object);
        }
        for (opened, object) in connector.batched_open(&keys, 28).await.into_iter().zip(&objects) {
            let opened = opened.unwrap().unwrap();
            let head_len = object.len().min(28);
            assert_eq!(opened.head(), &object[..head_len]);
            let rest = read_rest(opened, object.len() - head_len).await.unwrap();
            assert!(rest == object[head_len..]);
        }
    }
    assert!(connector.list("").await.unwrap().is_empty());
    assert!(!connector.batched_remove(&keys[..1]).await.remove(0).unwrap());
    connector.close().await;
    assert_eq!(fake.leases(), 0, "closing waits for the releases");
    assert!(matches!(connector.exists(&keys[0]).await, Err(Error::Closed)));
    let stats = connector.stats();
    assert_eq!((stats.puts_stored, stats.puts_existed, stats.http_reads), (5, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_keys_at_once_stay_within_the_limits() {
    let fake = Fake::start().await;
    let mut config = fake.config();
    config.client.requests_max = 7;
    config.client.connections_max = 5;
    let connector = Connector::new(config);
    let keys = keys(10_000);
    let objects = keys.iter().map(|key| (key.clone(), PutBody::from(key.as_str().to_owned())));
    assert!(connector.batched_put(objects.collect()).await.into_iter().all(|put| put.is_ok()));
    for (key, read) in keys.iter().zip(connector.batched_get(&keys).await) {
        assert_eq!(read.unwrap().unwrap(), key.as_str().as_bytes());
    }
    assert!(connector.batched_exists(&keys).await.into_iter().all(Result::unwrap));
    assert_eq!(connector.lookup_prefix(&keys).await.unwrap(), keys.len());
    fake.all_released().await;
    assert!(fake.running_most() <= 5, "{} at a time", fake.running_most());
    assert!(fake.connections() <= 5, "{} connections", fake.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_lookup_is_a_few_round_trips_and_ends_at_the_first_miss() {
    let fake = Fake::start().await;
    let keys = keys(1_000);
    keys[..64].iter().for_each(|key| fake.store(key, b"x"));
    // Behind the gap there is more, which no prefix reaches.
    keys[65..].iter().for_each(|key| fake.store(key, b"x"));
    let connector = fake.connector();
    // The first window has eight keys. Of the next one none is answered before many are there.
    fake.hold(8, 24);
    assert_eq!(connector.lookup_prefix(&keys).await.unwrap(), 64);
    let asked = fake.count("/leases?");
    assert!((65..=200).contains(&asked), "{asked} leases");
    assert!(fake.running_most() >= 24, "{} at a time", fake.running_most());
    // A cold look-up costs the first window.
    assert_eq!(connector.lookup_prefix(&keys[64..]).await.unwrap(), 0);
    assert!(fake.count("/leases?") - asked <= 8);
    assert_eq!(connector.lookup_prefix(&[]).await.unwrap(), 0);
    fake.all_released().await;
}

#[tokio::test]
async fn a_failure_before_the_first_miss_is_one_and_behind_it_is_none() {
    let fake = Fake::start().await;
    let keys = keys(3);
    [&keys[0], &keys[2]].iter().for_each(|key| fake.store(key, b"x"));
    fake.on_lease(|grant| grant.id.ends_with("model-2").then(|| reply(500, "broken")));
    let connector = fake.connector();
    assert_eq!(connector.lookup_prefix(&keys).await.unwrap(), 1);
    fake.store(&keys[1], b"x");
    assert!(matches!(connector.lookup_prefix(&keys).await, Err(Error::Refused { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_ends_during_the_copy_gives_nothing() {
    let object = bytes(24 << 20, 1);
    let (fake, _, key) = with_object(&object).await;
    let mut config = fake.config();
    // Shorter than the copy takes, and longer than to begin it or not: both must give nothing.
    config.lease_ttl = Duration::from_micros(1_500);
    let connector = Connector::new(config);
    let (buffer, memory) = ExternalBuffer::of_vec(vec![0; object.len()]);
    let read = connector.get_into(&key, buffer).await;
    assert!(matches!(read, Err(Error::LeaseEnded { .. })), "{read:?}");
    memory.take_back().expect("the buffer is given up by a read that failed");
    let stats = connector.stats();
    assert_eq!(stats.bytes_read, 0);
    assert!(stats.leases_ended >= 2, "it was tried once more: {stats:?}");
    fake.all_released().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_whose_lease_ended_is_done_with_a_new_one() {
    for len in [100_000, 2 << 20] {
        let object = bytes(len, 2);
        let (fake, connector, key) = with_object(&object).await;
        // The first lease lasts just long enough to read the head.
        fake.on_lease(|grant| (grant.number == 0).then(|| grant.usual(r#","ttl_s":0.2"#)));
        let opened = connector.open(&key, 28).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert!(read_rest(opened, len - 28).await.unwrap() == object[28..]);
        assert_eq!(fake.count("/leases?"), 2);
        fake.all_released().await;
    }
}

#[tokio::test]
async fn on_the_calling_thread_a_lease_that_ended_is_an_error() {
    let (fake, connector, key) = with_object(b"0123456789").await;
    fake.on_lease(|grant| Some(grant.usual(r#","ttl_s":0.2"#)));
    // It may end before the head is read.
    let opened = loop {
        match connector.open(&key, 4).await {
            Ok(opened) => break opened.unwrap(),
            Err(error) => assert!(matches!(error, Error::LeaseEnded { .. }), "{error:?}"),
        }
    };
    tokio::time::sleep(Duration::from_millis(250)).await;
    let (mut buffer, _) = ExternalBuffer::of_vec(vec![0; 6]);
    let read = opened.read_rest_here(&mut buffer);
    assert!(matches!(read, Err(Error::LeaseEnded { .. })), "{read:?}");
    fake.all_released().await;
}

#[tokio::test]
async fn a_lease_outside_of_the_segment_is_an_error_and_released() {
    let (fake, connector, key) = with_object(b"0123456789").await;
    for (offset, len) in [(SEGMENT_LEN, 1), (SEGMENT_LEN - 1, 2), (u64::MAX, 2), (0, u64::MAX)] {
        fake.on_lease(move |grant| {
            let id = &grant.id;
            let extent = format!(r#"{{"offset":{offset},"len":{len}}}"#);
            Some(lease(&format!(r#"{{"id":"{id}","offsets":[{extent}]}}"#)))
        });
        let error = connector.get(&key).await.unwrap_err();
        assert!(matches!(error, Error::OutsideSegment { .. }), "{error:?}");
        let error =
            connector.prefetch_leases(std::slice::from_ref(&key)).await.remove(0).unwrap_err();
        assert!(matches!(error, Error::OutsideSegment { .. }), "{error:?}");
        fake.all_released().await;
    }
}

#[tokio::test]
async fn an_object_of_several_extents_is_read_in_their_order() {
    let (fake, connector, key) = with_object(b"0123456789").await;
    fake.on_lease(|Grant { id, offset, .. }| {
        let second = offset + 6;
        let offsets = format!(r#"{{"offset":{second},"len":4}},{{"offset":{offset},"len":6}}"#);
        Some(lease(&format!(r#"{{"id":"{id}","offsets":[{offsets}]}}"#)))
    });
    assert_eq!(connector.get(&key).await.unwrap().unwrap(), b"6789012345");
    let opened = connector.open(&key, 5).await.unwrap().unwrap();
    assert_eq!(opened.head(), b"67890");
    assert_eq!(read_rest(opened, 5).await.unwrap(), b"12345");
    fake.all_released().await;
}

#[tokio::test]
async fn releases_are_counted_by_what_the_daemon_says_to_them() {
    let (fake, connector, key) = with_object(b"0123456789").await;
    for (refuse, counts) in [(false, (1, 1, 0)), (true, (2, 1, 1)), (false, (3, 2, 1))] {
        fake.refuse_releases(refuse);
        connector.get(&key).await.unwrap();
        fake.wait("an answer to the release", || {
            let stats = connector.stats();
            (stats.leases, stats.leases_released, stats.release_failures) == counts
        })
        .await;
    }
    // A lease that is held is neither.
    connector.prefetch_leases(std::slice::from_ref(&key)).await;
    let stats = connector.stats();
    assert_eq!((stats.leases, stats.leases_released, stats.cached_leases), (4, 2, 1));
    assert_eq!(fake.count("/release"), 3, "a release that failed is not tried again");
}

#[tokio::test]
async fn a_daemon_that_never_answers_costs_a_lease_the_time_of_a_call() {
    let (fake, _, key) = with_object(b"0123456789").await;
    fake.set_latency(Duration::from_secs(600));
    let mut config = fake.config();
    let limit = Duration::from_millis(200);
    (config.client.timeouts.call, config.lease_wait) = (limit, limit * 3 / 4);
    let connector = Connector::new(config);
    let within = Duration::from_secs(60);
    let read = tokio::time::timeout(within, connector.get(&key)).await.unwrap();
    let Err(Error::TimedOut { limit: span, .. }) = read else { panic!("{read:?}") };
    assert_eq!(span, limit);
}

#[tokio::test]
async fn an_object_beyond_the_limit_on_leases_is_a_miss_and_released() {
    let (fake, _, key) = with_object(&bytes(1_000, 3)).await;
    for (max, found) in [(999, false), (1_000, true)] {
        let mut config = fake.config();
        config.lease_len_max = Some(ByteSize::new(max));
        let connector = Connector::new(config);
        assert_eq!(connector.get(&key).await.unwrap().is_some(), found);
        assert_eq!(connector.exists(&key).await.unwrap(), found);
        assert_eq!(connector.stats().too_large, if found { 0 } else { 2 });
        fake.all_released().await;
    }
}

#[tokio::test]
async fn answers_that_are_no_leases_are_errors_and_nothing_hangs() {
    let (fake, connector, key) = with_object(b"0123456789").await;
    for body in [
        "",
        "[]",
        "{",
        r#"{"offsets":[]}"#,
        r#"{"id":"x"}"#,
        r#"{"id":"x","offsets":[{"offset":-1,"len":1}]}"#,
        r#"{"id":"x","offsets":[{"offset":0,"len":1}],"checksum":"no"}"#,
        r#"{"id":"x","offsets":[{"offset":0,"len":18446744073709551615},{"offset":0,"len":1}]}"#,
    ] {
        fake.on_lease(move |_| Some(lease(body)));
        let error = connector.get(&key).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{body}: {error:?}");
    }
    fake.on_lease(|grant| Some(lease(&format!(r#"{{"id":"{}","offsets":[]}}"#, grant.id))));
    assert!(connector.get(&key).await.unwrap().is_none());
}

#[tokio::test]
async fn corrupt_bytes_are_an_error_and_reported_and_nothing_is_removed() {
    let object = b"0123456789";
    let (fake, connector, key) = with_object(object).await;
    fake.on_lease(|grant| Some(grant.summed(b"012345678.")));
    let error = connector.get(&key).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    let opened = connector.open(&key, 4).await.unwrap().unwrap();
    let (mut buffer, _) = ExternalBuffer::of_vec(vec![0; 6]);
    let error = opened.read_rest_here(&mut buffer).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert_eq!((connector.stats().corrupt, connector.stats().bytes_read), (2, 0));
    fake.wait("a report", || fake.count("POST /v1/kv/lmcache/k/reports") == 2).await;
    // Nothing of it has to be wanted.
    let opened = connector.open(&key, 4).await.unwrap().unwrap();
    let error = opened.verify().await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    let view = connector.open(&key, 4).await.unwrap().unwrap().into_view().unwrap();
    let error = view.verify().unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    drop(view);
    fake.wait("a report", || fake.count("POST /v1/kv/lmcache/k/reports") == 4).await;
    assert_eq!(fake.count("DELETE"), 0);
    // What follows the buffer is summed as well, wherever it is read.
    fake.on_lease(|grant| Some(grant.summed(object)));
    connector.open(&key, 4).await.unwrap().unwrap().verify().await.unwrap();
    for len in [0, 1, 5] {
        let opened = connector.open(&key, 4).await.unwrap().unwrap();
        assert_eq!(read_rest(opened, len).await.unwrap(), &object[4..4 + len]);
    }
    fake.all_released().await;
}

#[tokio::test]
async fn a_segment_that_is_replaced_during_a_read_is_attached_and_read_anew() {
    let (fake, connector, key) = with_object(b"old bytes!").await;
    let opened = connector.open(&key, 0).await.unwrap().unwrap();
    fake.replace_segment(b"new bytes!");
    assert_eq!(read_rest(opened, 10).await.unwrap(), b"new bytes!");
    assert_eq!(connector.stats().leases_ended, 1);
    // The head that was read already decides what the rest may belong to.
    let opened = connector.open(&key, 3).await.unwrap().unwrap();
    fake.replace_segment(b"yet others");
    let error = read_rest(opened, 7).await.unwrap_err();
    assert!(matches!(error, Error::LeaseEnded { .. }), "{error:?}");
    // Held leases are about the segment that is gone.
    assert!(connector.prefetch_leases(std::slice::from_ref(&key)).await.remove(0).unwrap());
    fake.replace_segment(b"the fourth");
    assert_eq!(connector.get(&key).await.unwrap().unwrap(), b"the fourth");
    fake.all_released().await;
}

#[tokio::test]
async fn a_segment_whose_name_is_gone_is_read_on() {
    let (fake, connector, key) = with_object(b"some bytes").await;
    let opened = connector.open(&key, 0).await.unwrap().unwrap();
    fs::remove_file(fake.segment()).unwrap();
    assert_eq!(read_rest(opened, 10).await.unwrap(), b"some bytes");
    assert_eq!(connector.get(&key).await.unwrap().unwrap(), b"some bytes");
    assert_eq!(connector.stats().http_reads, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_any_length_is_verified() {
    let object = bytes((3 << 20) + 1, 4);
    let (fake, connector, key) = with_object(&object).await;
    let corrupt = [&object[..object.len() - 1], b"?"].concat();
    for (whole, good) in [(object, true), (corrupt, false)] {
        fake.on_lease(move |grant| Some(grant.summed(&whole)));
        let verified = connector.open(&key, 28).await.unwrap().unwrap().verify().await;
        assert_eq!(verified.is_ok(), good, "{verified:?}");
        let view = connector.open(&key, 0).await.unwrap().unwrap().into_view().unwrap();
        assert_eq!((view.verify().is_ok(), view.checksum().is_some()), (good, true));
    }
    fake.all_released().await;
}

#[tokio::test]
async fn a_segment_that_appears_late_is_attached_then() {
    let (fake, _, key) = with_object(b"some bytes").await;
    let elsewhere = fake.segment().with_extension("elsewhere");
    fs::rename(fake.segment(), &elsewhere).unwrap();
    let connector = fake.connector();
    // This daemon has no reads over HTTP.
    assert!(connector.get(&key).await.unwrap().is_none());
    assert_eq!((connector.stats().http_reads, fake.count("GET")), (1, 1));
    let notice = connector.take_notice().unwrap();
    assert_eq!(notice.severity, Severity::Warning);
    assert!(notice.text.contains("over http") && notice.text.contains("=`segment`"), "{notice}");
    assert_eq!(connector.take_notice(), None);
    fs::rename(&elsewhere, fake.segment()).unwrap();
    let mut read = None;
    for _ in 0..5_000 {
        read = connector.get(&key).await.unwrap();
        if read.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(read.unwrap(), b"some bytes");
    assert_eq!(connector.take_notice(), None);
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_warned_of_once_and_all_goes_over_http() {
    let (fake, _, key) = with_object(b"some bytes").await;
    let mut config = fake.config();
    config.socket = SocketChoice::At("/absent/daemon.sock".into());
    let connector = Connector::new(config);
    for _ in 0..3 {
        assert_eq!(connector.get(&key).await.unwrap().unwrap(), b"some bytes");
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let notice = connector.take_notice().unwrap();
    assert_eq!(notice.severity, Severity::Warning);
    assert!(notice.text.starts_with("http, since the fast lane cannot be opened"), "{notice}");
    assert!(notice.text.contains("socket=`/absent/daemon.sock`"), "{notice}");
    assert_eq!(connector.take_notice(), None);
}

#[tokio::test]
async fn a_held_lease_saves_the_round_trip_of_the_read_and_is_released_if_nobody_reads() {
    let fake = Fake::start().await;
    let keys = keys(4);
    keys[..3].iter().for_each(|key| fake.store(key, b"some bytes"));
    let mut config = fake.config();
    config.lease_retention = Duration::from_secs(600);
    // Leases are kept for half of their own time at most.
    fake.on_lease(|grant| Some(grant.usual(r#","ttl_s":3600"#)));
    let connector = Connector::new(config.clone());
    for _ in 0..2 {
        let held = connector.prefetch_leases(&keys).await.into_iter().map(Result::unwrap);
        assert!(held.eq([true, true, true, false]));
    }
    // Two for the key that is not there.
    assert_eq!((fake.count("/leases?"), connector.stats().cached_leases), (5, 3));
    let (buffer, memory) = ExternalBuffer::of_vec(vec![0; 10]);
    assert!(connector.get_into(&keys[0], buffer).await.unwrap());
    assert_eq!(memory.take_back().unwrap(), b"some bytes");
    assert_eq!((fake.count("/leases?"), connector.stats().cached_leases), (5, 2));
    connector.close().await;
    assert_eq!(fake.leases(), 0);
    config.lease_retention = Duration::from_millis(100);
    let connector = Connector::new(config);
    connector.prefetch_leases(&keys).await;
    fake.wait("nothing is held", || connector.stats().cached_leases == 0).await;
    fake.all_released().await;
    // What was released is leased again.
    assert!(connector.get(&keys[1]).await.unwrap().is_some());
    connector.prefetch_leases(&keys).await;
    connector.close().await;
    assert_eq!(fake.leases(), 0);
}

#[tokio::test]
async fn what_is_held_ends_by_time_though_the_runtime_that_held_the_first_has_ended() {
    let fake = Fake::start().await;
    let keys = keys(2);
    keys.iter().for_each(|key| fake.store(key, b"some bytes"));
    let mut config = fake.config();
    config.lease_retention = Duration::from_millis(50);
    let connector = Connector::new(config);
    let (first, elsewhere) = (keys[..1].to_vec(), connector.clone());
    let ended = thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        assert!(runtime.block_on(elsewhere.prefetch_leases(&first))[0].as_ref().unwrap());
    });
    fake.wait("the runtime has ended", || ended.is_finished()).await;
    assert!(connector.prefetch_leases(&keys[1..]).await[0].as_ref().unwrap());
    fake.wait("nothing is held", || connector.stats().cached_leases == 0).await;
}

#[tokio::test]
async fn a_view_shows_the_parts_of_a_live_lease() {
    let (fake, connector, key) = with_object(b"0123456789").await;
    let view = connector.open(&key, 0).await.unwrap().unwrap().into_view().unwrap();
    let lens: Vec<usize> = view.parts().map(|(_, len)| len).collect();
    assert_eq!((lens, view.len().bytes(), view.is_live()), (vec![7, 3], 10, true));
    assert!(view.verify().is_ok() && view.checksum().is_none());
    assert_eq!(fake.leases(), 1);
    fake.replace_segment(b"");
    assert!(!view.is_live());
    assert!(matches!(view.verify(), Err(Error::LeaseEnded { .. })));
    drop(view);
    fake.all_released().await;
}

#[tokio::test]
async fn a_daemon_that_goes_away_is_an_error_and_is_used_again_when_it_is_back() {
    let (fake, connector, key) = with_object(b"some bytes").await;
    let open = connector.open(&key, 4).await.unwrap().unwrap();
    connector.prefetch_leases(std::slice::from_ref(&key)).await;
    fake.stop().await;
    // What is leased can be read: the bytes are in place.
    assert_eq!(read_rest(open, 6).await.unwrap(), b" bytes");
    assert_eq!(connector.get(&key).await.unwrap().unwrap(), b"some bytes");
    assert!(connector.get(&key).await.is_err());
    fake.start_again().await;
    let mut put = connector.put(&key, "more bytes").await;
    for _ in 0..10_000 {
        if put.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        put = connector.put(&key, "more bytes").await;
    }
    assert_eq!(put.unwrap(), PutOutcome::Stored);
    assert_eq!(connector.get(&key).await.unwrap().unwrap(), b"more bytes");
    connector.close().await;
}

#[tokio::test]
async fn a_buffer_of_another_length_is_refused_before_anything_is_read() {
    let (fake, connector, key) = with_object(b"0123456789").await;
    for len in [0, 9, 11] {
        let (buffer, _) = ExternalBuffer::of_vec(vec![0; len]);
        let error = connector.get_into(&key, buffer).await.unwrap_err();
        assert!(matches!(error, Error::LengthMismatch { .. }), "{error:?}");
    }
    let opened = connector.open(&key, 4).await.unwrap().unwrap();
    let error = read_rest(opened, 7).await.unwrap_err();
    assert!(matches!(error, Error::LengthMismatch { .. }), "{error:?}");
    fake.all_released().await;
}
