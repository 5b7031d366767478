//! Where objects are: in listings over memory and tiers, in the state in numbers, and one by one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
};

use kvlease_api::{ErrorBody, ListReply, ListedObject, TiersReply, Total, encode};
use kvlease_server::config::Config;
use kvlease_sys::Digest;

use crate::{
    daemon::{CAPACITY, Daemon},
    tiers::{Disk, OBJECTS, content, fill, key, tier, until_room},
};

/// A daemon with more objects than its arena holds, and none on its way to the disk.
fn full(disk: &Disk) -> Daemon {
    let daemon = disk.daemon();
    fill(&daemon, 0..OBJECTS);
    daemon.eventually("quiet", || {
        daemon.stats().free >= CAPACITY.bytes() / 16 && tier(&daemon, "queued") == 0.0
    });
    daemon
}

fn page(daemon: &Daemon, query: &str) -> ListReply {
    let reply = daemon.wire().call("GET", &format!("/v1/kv/b?{query}"));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// The rest of a listing behind a page.
fn rest(daemon: &Daemon, query: &str, first: ListReply) -> Vec<ListedObject> {
    let mut next = first.next;
    let mut objects = first.objects;
    while let Some(cursor) = next {
        let page = page(daemon, &format!("{query}&cursor={}", encode(&cursor)));
        assert_eq!(page.unanswered, []);
        objects.extend(page.objects);
        next = page.next;
    }
    objects
}

fn listed(daemon: &Daemon, query: &str) -> Vec<ListedObject> {
    rest(daemon, query, page(daemon, query))
}

fn is_in(object: &ListedObject, tier: &str) -> bool {
    object.tiers.iter().any(|found| found == tier)
}

fn names(objects: &[ListedObject]) -> BTreeSet<&str> {
    objects.iter().map(|object| object.key.as_str()).collect()
}

#[test]
fn a_listing_has_each_object_of_memory_and_disk_once_with_its_tiers() {
    let disk = Disk::new();
    let daemon = full(&disk);
    let there = daemon.stats().objects as usize;
    assert!((1..OBJECTS).contains(&there));
    let expected: BTreeSet<String> = (0..OBJECTS).map(key).collect();
    for query in ["limit=1", "limit=7", "limit=1000", "limit=7&tier=local", "limit=7&tier=all"] {
        let objects = listed(&daemon, query);
        assert_eq!(objects.len(), OBJECTS, "{query}");
        assert!(names(&objects).iter().copied().eq(expected.iter().map(String::as_str)), "{query}");
        let near = objects.iter().filter(|object| is_in(object, "memory")).count();
        assert_eq!(near, there, "{query}");
        for object in objects {
            let number: usize = object.key[1..].parse().unwrap();
            let checksum = Digest::of(&content(number)).to_string();
            assert_eq!((object.len, object.checksum), (1 << 20, Some(checksum)), "{query}");
            assert!(!object.tiers.is_empty());
        }
    }
    let of_prefix = listed(&daemon, "prefix=k1&limit=3");
    assert_eq!(of_prefix.len(), 11);
    for (query, tier, count) in [
        ("tier=memory&limit=4", "memory", there),
        ("tier=nvme&limit=4", "nvme", tier(&daemon, "objects") as usize),
    ] {
        let objects = listed(&daemon, query);
        assert_eq!((objects.len(), names(&objects).len()), (count, count), "{query}");
        assert!(objects.iter().all(|object| is_in(object, tier)), "{query}");
    }
}

#[test]
fn clients_that_know_numbers_alone_list_memory_as_before() {
    let disk = Disk::new();
    let daemon = full(&disk);
    let (mut cursor, mut keys) = (Some(0), Vec::new());
    while let Some(number) = cursor {
        let page = page(&daemon, &format!("cursor={number}&limit=3"));
        assert_eq!(page.next, None);
        keys.extend(page.objects.into_iter().map(|object| object.key));
        cursor = page.next_cursor;
    }
    assert_eq!(keys.len() as u64, daemon.stats().objects);
    // Their first page may have no cursor.
    let first = page(&daemon, "limit=3");
    let second = page(&daemon, &format!("limit=3&cursor={}", first.next_cursor.unwrap()));
    assert_eq!(second.next, None);
}

#[test]
fn an_object_that_is_read_during_a_listing_is_not_lost() {
    let disk = Disk::new();
    let daemon = full(&disk);
    let far: Vec<String> = listed(&daemon, "")
        .into_iter()
        .filter(|object| !is_in(object, "memory"))
        .map(|object| object.key)
        .collect();
    let first = page(&daemon, "limit=10000&tier=memory");
    assert!(names(&first.objects).is_disjoint(&far.iter().map(String::as_str).collect()));
    let first = page(&daemon, "limit=1");
    for key in &far[..3] {
        until_room(&daemon);
        assert_eq!(daemon.status_of(key), 200);
    }
    let objects = rest(&daemon, "limit=1", first);
    assert_eq!(names(&objects).len(), OBJECTS);
}

#[test]
fn a_cursor_is_of_one_listing() {
    let disk = Disk::new();
    let daemon = full(&disk);
    let next = encode(&page(&daemon, "limit=3").next.unwrap()).to_string();
    for target in [
        format!("/v1/kv/b?limit=3&prefix=k&cursor={next}"),
        format!("/v1/kv/b?limit=3&tier=all&cursor={next}"),
        format!("/v1/kv/other?limit=3&cursor={next}"),
        format!("/v1/kv/b?limit=3&cursor={next}0"),
    ] {
        let reply = daemon.wire().call("GET", &target);
        assert_eq!(reply.status, 400, "{target}");
        assert!(reply.json::<ErrorBody>().message.contains("begin the listing again"));
    }
    page(&daemon, &format!("limit=10&cursor={next}"));
}

#[test]
fn every_place_of_an_object_is_told() {
    let disk = Disk::new();
    let daemon = full(&disk);
    let objects = listed(&daemon, "");
    for object in &objects {
        let reply = daemon.wire().call("GET", &format!("/v1/kv/b/{}/tiers", object.key));
        let places: TiersReply = reply.json();
        let tiers: Vec<_> = places.held.iter().map(|held| held.tier.as_str()).collect();
        assert_eq!(tiers, object.tiers);
        for held in places.held {
            assert_eq!((held.len, Some(&held.checksum)), (object.len, object.checksum.as_ref()));
            assert_eq!(held.leases, (held.tier == "memory").then_some(0));
        }
    }
    assert_eq!(daemon.wire().call("GET", "/v1/kv/b/absent/tiers").status, 404);
    let key = &objects[0].key;
    assert_eq!(daemon.wire().call("DELETE", &format!("/v1/kv/b/{key}")).status, 200);
    assert_eq!(daemon.wire().call("GET", &format!("/v1/kv/b/{key}/tiers")).status, 404);
    assert_eq!(listed(&daemon, "limit=5").len(), OBJECTS - 1);
}

#[test]
fn the_state_of_a_tier_is_that_of_the_metrics() {
    let disk = Disk::new();
    let daemon = full(&disk);
    for number in 0..OBJECTS {
        until_room(&daemon);
        assert_eq!(daemon.status_of(&key(number)), 200);
    }
    let stats = daemon.stats();
    let [state] = &stats.tiers[..] else { panic!("{:?}", stats.tiers) };
    assert_eq!((state.tier.as_str(), state.shared, state.broken), ("nvme", false, false));
    assert!(state.place.ends_with("/kvlease.tier"), "{}", state.place);
    let way = state.way.as_deref().unwrap();
    assert!(way.contains("io_uring") || way.contains("threads"), "{way}");
    assert_eq!((state.write_through.as_str(), state.queued_max), ("none", 1024));
    assert_eq!((state.slow, state.load_rate_min), (false, None));
    daemon.eventually("the same figures", || {
        let stats = daemon.stats();
        let state = &stats.tiers[0];
        let seconds = |total: &Total| match total {
            Total::Count(count) => *count as f64,
            Total::Seconds(seconds) => *seconds,
        };
        let gauges = BTreeMap::from([
            ("objects", state.objects.unwrap() as f64),
            ("used_bytes", state.used.unwrap() as f64),
            ("capacity_bytes", state.capacity.unwrap() as f64),
            ("queued", state.queued as f64),
            ("copying", state.copying as f64),
            ("forgotten_total", state.forgotten.unwrap() as f64),
            ("broken", 0.0),
            ("slow", 0.0),
            ("load_rate_bytes_per_second", state.load_rate.unwrap() as f64),
        ]);
        let totals = state.totals.iter();
        let totals = totals.map(|(name, total)| (format!("{name}_total"), seconds(total)));
        let gauges = gauges.into_iter().map(|(name, value)| (name.to_owned(), value));
        totals.chain(gauges).all(|(name, value)| (tier(&daemon, &name) - value).abs() < 1e-6)
    });
    let total = |name: &str| match state.totals[name] {
        Total::Count(count) => count,
        Total::Seconds(_) => panic!("{name} is a time"),
    };
    assert!(total("hits") > 0 && total("stores") > 0 && total("stored_bytes") > 1 << 20);
    assert!(matches!(state.totals["loading_seconds"], Total::Seconds(time) if time > 0.0));
    // Without a tier there is none.
    assert_eq!(Daemon::start().stats().tiers, []);
}

/// A store that cannot be reached.
fn gone(config: &mut Config) {
    config.remote_url = Some("redis://127.0.0.1:1".parse().unwrap());
}

#[test]
fn a_shared_tier_that_is_gone_is_named_where_it_is_asked_for() {
    let daemon = Daemon::with(gone);
    daemon.put("k", b"bytes");
    let local = page(&daemon, "");
    assert_eq!((local.objects.len(), &local.unanswered[..]), (1, &[][..]));
    let all = page(&daemon, "tier=all");
    assert_eq!((all.objects.len(), all.next, all.next_cursor), (1, None, None));
    assert_eq!(all.unanswered[0].tier, "valkey");
    let remote = page(&daemon, "tier=remote");
    assert_eq!((remote.objects.len(), remote.unanswered.len()), (0, 1));
    assert!(!remote.unanswered[0].reason.is_empty());
    let places: TiersReply = daemon.wire().call("GET", "/v1/kv/b/k/tiers").json();
    assert_eq!((places.held.len(), places.unanswered[0].tier.as_str()), (1, "valkey"));
    let absent = daemon.wire().call("GET", "/v1/kv/b/absent/tiers");
    assert_eq!(absent.status, 503);
    assert!(absent.json::<ErrorBody>().message.contains("tiers=`valkey: "));
    let state = daemon.stats().tiers.remove(0);
    assert_eq!((state.tier.as_str(), state.shared), ("valkey", true));
    assert_eq!((state.write_through.as_str(), state.way, state.capacity), ("all", None, None));
}

#[test]
fn a_shared_tier_that_accepts_and_is_silent_is_not_waited_for_for_long() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://user:secret@{}", listener.local_addr().unwrap());
    let daemon = Daemon::with(|config| config.remote_url = Some(url.parse().unwrap()));
    daemon.put("k", b"bytes");
    let all = page(&daemon, "tier=all");
    assert_eq!((all.objects.len(), all.unanswered.len()), (1, 1));
    let state = daemon.stats().tiers.remove(0);
    assert!(!state.place.contains("secret"), "{}", state.place);
}
