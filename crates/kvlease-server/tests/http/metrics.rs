//! docs/metrics.md holds what the daemon counts, and the counters move as they should.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use kvlease_server::config::{
    ArenaConfig, BucketGlob, FIRST_LISTENER, ListenerConfig, Serves, TenantConfig,
};
use kvlease_testing::bytes;
use kvlease_types::{BucketName, BucketPolicy, ByteSize, Quota};
use rustix::process::geteuid;

use crate::{
    daemon::{CAPACITY, Daemon},
    table::rows,
    tiers::Disk,
    tls::{Authority, listener},
    wire::Reply,
};

const DOCUMENT: &str = include_str!("../../../../docs/metrics.md");

/// The metrics in the format that Prometheus asks for.
pub(crate) fn open_metrics(daemon: &Daemon) -> String {
    let reply = asked_for(daemon, "application/openmetrics-text;version=1.0.0,*/*;q=0.1");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(reply.header("content-type"), Some(kind));
    reply.text()
}

fn asked_for(daemon: &Daemon, accept: &str) -> Reply {
    let mut wire = daemon.wire();
    wire.send(format!("GET /metrics HTTP/1.1\r\nHost: d\r\nAccept: {accept}\r\n\r\n"));
    wire.reply()
}

/// Faults that `promtool check metrics` would find in the older text format.
fn faults(text: &str) -> Vec<String> {
    let (mut faults, mut kinds, mut described) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    for line in text.lines() {
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(_)) => {
                described.insert(name.to_owned());
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let known = ["counter", "gauge", "histogram"].contains(&kind);
                let total = name.ends_with("_total");
                if !known || total != (kind == "counter") || !described.contains(name) {
                    faults.push(line.to_owned());
                }
                kinds.insert(name.to_owned(), kind.to_owned());
            }
            (Some(series), Some(value), None, None) if !series.starts_with('#') => {
                let name = series.split('{').next().unwrap_or(series);
                let of_histogram = ["_bucket", "_sum", "_count"]
                    .iter()
                    .filter_map(|ending| name.strip_suffix(ending))
                    .any(|family| kinds.get(family).is_some_and(|kind| kind == "histogram"));
                let known = kinds.get(name).is_some_and(|kind| kind != "histogram");
                if !(known || of_histogram) || value.parse::<f64>().is_err() {
                    faults.push(line.to_owned());
                }
            }
            _ => faults.push(line.to_owned()),
        }
    }
    faults
}

#[test]
fn the_text_format_of_prometheus_is_served_to_those_who_name_no_other() {
    let daemon = Daemon::start();
    for accept in ["text/plain", "*/*", "text/plain;version=0.0.4;q=0.9,*/*;q=0.1"] {
        let reply = asked_for(&daemon, accept);
        assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        assert_eq!(faults(&reply.text()), [""; 0], "{accept}");
    }
    let plain = daemon.metrics();
    assert_eq!(faults(&plain), [""; 0], "without Accept");
    let info = format!("kvlease_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    assert!(plain.contains("# TYPE kvlease_build_info gauge\n") && plain.contains(&info));
    // A metric that the format does not know would be found.
    assert_eq!(faults("# TYPE a info\na 1\n").len(), 1);
    // Both formats have the same samples.
    let samples = |text: &str| -> BTreeSet<String> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    };
    assert_eq!(samples(&plain), samples(&open_metrics(&daemon)));
}

/// Name and type of every series, as one queries it.
pub(crate) fn served(text: &str) -> BTreeSet<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let types = types.map(|line| line.split_once(' ').unwrap());
    let queried = |(name, kind): (&str, &str)| {
        let ending = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        (format!("{name}{ending}"), kind.to_owned())
    };
    types.map(queried).collect()
}

/// Tenant that all callers are, with a quota of everything.
fn everyone() -> TenantConfig {
    let all = || vec![BucketGlob::parse("*").unwrap()];
    let (most, size) = (Some(1_000_000), Some(ByteSize::mib(8)));
    TenantConfig {
        listeners: vec![FIRST_LISTENER.to_owned()],
        uids: vec![geteuid().as_raw()],
        read: all(),
        write: all(),
        remove: all(),
        list: all(),
        admin: true,
        quota: Quota {
            bytes_max: size,
            bytes_guaranteed: size,
            objects_max: most,
            leases_max: most,
            requests_per_s: most,
        },
        connections_max: most,
        ..TenantConfig::default()
    }
}

/// Daemon with a tier, a live curve, a bucket with a policy, quotas, a second arena and TLS: some metrics are there
/// only with those.
fn with_everything(disk: &Disk) -> Daemon {
    let authority = Authority::new();
    Daemon::with(|config| {
        disk.configure(config);
        config.curve_memory_max = Some(ByteSize::mib(8));
        config.buckets.insert(BucketName::new("b").unwrap(), BucketPolicy::default());
        let arena = ArenaConfig { capacity: Some(CAPACITY), ..ArenaConfig::default() };
        config.arenas.insert("red".into(), arena);
        config.tenants.insert("t".into(), everyone());
        let tls = Some(authority.daemon_files());
        config.listeners.insert("tls".into(), ListenerConfig { tls, ..listener(Serves::All) });
    })
}

#[test]
fn the_table_of_metrics_is_the_list_of_metrics() {
    let disk = Disk::new();
    let daemon = with_everything(&disk);
    let table = rows(DOCUMENT, "## All metrics");
    let documented: Vec<_> = table.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let (listed, served) =
        (BTreeSet::from_iter(documented.clone()), served(&open_metrics(&daemon)));
    let differing: Vec<_> = listed.symmetric_difference(&served).collect();
    assert!(differing.is_empty(), "in one of them alone: {differing:?}");
    assert_eq!(documented.len(), BTreeSet::from_iter(documented).len(), "each once");
}

#[test]
fn the_documented_units_are_those_of_the_metrics() {
    let disk = Disk::new();
    let daemon = with_everything(&disk);
    let text = open_metrics(&daemon);
    for row in rows(DOCUMENT, "## All metrics") {
        let family = row[0].trim_end_matches("_total").trim_end_matches("_info");
        let marker = format!("# UNIT {family} ");
        let unit = text.lines().find_map(|line| line.strip_prefix(&marker)).unwrap_or("-");
        assert_eq!(row[2], unit, "{family}");
        assert!(!row[3].is_empty(), "{family}");
    }
}

#[test]
fn every_series_that_a_recipe_asks_for_exists() {
    let disk = Disk::new();
    let daemon = with_everything(&disk);
    let served: BTreeSet<_> =
        served(&open_metrics(&daemon)).into_iter().map(|(name, _)| name).collect();
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let asked: BTreeSet<_> =
        DOCUMENT.split(word).filter(|word| word.starts_with("kvlease_")).collect();
    assert!(asked.len() > served.len(), "the recipes ask for histograms by their buckets");
    for series in asked {
        let known = ["_bucket", "_sum", "_count", ""].iter().any(|ending| {
            series.strip_suffix(ending).is_some_and(|family| served.contains(family))
        });
        assert!(known, "{series}");
    }
}

/// The requests of one operation with one outcome.
fn requests(daemon: &Daemon, operation: &str, outcome: &str) -> f64 {
    let labels = format!("{{operation=\"{operation}\",outcome=\"{outcome}\"}}");
    daemon.metric(&format!("kvlease_requests_total{labels}"))
}

#[test]
fn requests_are_counted_by_operation_and_outcome() {
    let daemon = Daemon::start();
    let sent = bytes(10_000, 1);
    daemon.put("k", &sent);
    daemon.put("second", &sent);
    assert_eq!(daemon.wire().put("/v1/kv/b/k", &sent).status, 409);
    let lease = daemon.lease("k");
    daemon.wire().call("POST", "/v1/kv/b/absent/leases");
    daemon.wire().call("POST", "/v1/kv/b/absent/leases");
    daemon.release(&lease);
    daemon.wire().call("GET", "/nowhere");
    daemon.wire().call("PATCH", "/healthz");
    for (operation, outcome, count) in [
        ("put", "ok", 2.0),
        ("put", "exists", 1.0),
        ("acquire", "ok", 1.0),
        ("acquire", "not_found", 2.0),
        ("acquire", "still_writing", 0.0),
        ("release", "ok", 1.0),
        ("unknown", "no_route", 1.0),
        ("unknown", "method_not_allowed", 1.0),
        ("unknown", "ok", 0.0),
    ] {
        assert_eq!(requests(&daemon, operation, outcome), count, "{operation} {outcome}");
    }
    let stats = daemon.stats();
    assert_eq!((stats.hits, stats.misses), (1, 2));
    for (series, value) in [
        ("kvlease_received_bytes_total", 20_000.0),
        ("kvlease_objects", 2.0),
        ("kvlease_stored_bytes", 20_000.0),
        ("kvlease_allocated_bytes", 24_576.0),
        ("kvlease_leases_granted_total", 1.0),
        ("kvlease_leases_released_total", 1.0),
        ("kvlease_leases_live", 0.0),
        ("kvlease_objects_sealed_total", 2.0),
        ("kvlease_lease_held_seconds_count", 1.0),
        ("kvlease_request_duration_seconds_count{operation=\"put\"}", 3.0),
    ] {
        assert_eq!(daemon.metric(series), value, "{series}");
    }
}

#[test]
fn refusals_for_lack_of_room_expiries_and_evictions_are_counted() {
    let daemon = Daemon::with(|config| {
        config.capacity = Some(ByteSize::mib(4));
        config.lease_grace = Duration::from_millis(10);
    });
    let half = bytes(2 << 20, 1);
    daemon.put("a", &half);
    daemon.put("b", &half);
    let mut wire = daemon.wire();
    let leases = ["a", "b"].map(|key| daemon.lease(key));
    assert_eq!(daemon.metric("kvlease_leased_bytes"), (4 << 20) as f64);
    assert_eq!(wire.put("/v1/kv/b/c", &half).status, 507);
    assert_eq!(requests(&daemon, "put", "no_space"), 1.0);
    assert_eq!(daemon.metric("kvlease_evictions_total"), 0.0);
    for lease in leases {
        let renewed = wire.call("POST", &format!("/v1/leases/{}/renew?ttl_s=0.1", lease.id));
        assert_eq!(renewed.status, 200);
    }
    daemon.eventually("room", || daemon.wire().put("/v1/kv/b/c", &half).status == 200);
    assert_eq!(daemon.metric("kvlease_evictions_total"), 1.0);
    assert_eq!(daemon.metric("kvlease_evicted_bytes_total"), (2 << 20) as f64);
    daemon.until("both expiries", |stats| stats.leases_expired == 2);
    assert_eq!(daemon.metric("kvlease_leases_expired_unreleased_total"), 2.0);
    assert_eq!(daemon.metric("kvlease_leases_live"), 0.0);
    for key in ["a", "b", "never"] {
        daemon.wire().call("POST", &format!("/v1/kv/b/{key}/leases"));
    }
    assert_eq!(daemon.metric("kvlease_misses_total{reason=\"evicted\"}"), 1.0);
    assert_eq!(daemon.metric("kvlease_misses_total{reason=\"absent\"}"), 1.0);
}

#[test]
fn a_public_name_that_is_unlinked_comes_back_as_the_same_file_and_is_counted() {
    use std::os::unix::fs::MetadataExt;
    let daemon = Daemon::start();
    let inode = fs::metadata(daemon.segment()).unwrap().ino();
    for round in 1..=3 {
        fs::remove_file(daemon.segment()).unwrap();
        daemon.eventually("the name", || daemon.segment().exists());
        assert_eq!(fs::metadata(daemon.segment()).unwrap().ino(), inode);
        let relinks = || daemon.metric("kvlease_relinks_total");
        daemon.eventually("the count", || relinks() == f64::from(round));
    }
}

#[test]
fn a_name_that_a_probe_puts_back_is_counted_too() {
    let daemon = Daemon::start();
    for round in 1..=20 {
        fs::remove_file(daemon.segment()).unwrap();
        assert_eq!(daemon.wire().call("GET", "/readyz").status, 200);
        let relinks = || daemon.metric("kvlease_relinks_total");
        daemon.eventually("the count", || relinks() == f64::from(round));
    }
}

#[test]
fn a_name_that_another_file_has_taken_is_reported() {
    let daemon = Daemon::start();
    let squatter = daemon.segment().with_extension("squatter");
    fs::write(&squatter, b"not the segment").unwrap();
    fs::rename(&squatter, daemon.segment()).unwrap();
    daemon.eventually("the failure", || daemon.metric("kvlease_link_failures_total") >= 1.0);
    let reply = daemon.wire().call("GET", "/readyz");
    assert_eq!(reply.status, 503);
    assert_eq!(daemon.wire().call("GET", "/healthz").status, 200);
    fs::remove_file(daemon.segment()).unwrap();
    daemon.eventually("the name", || daemon.wire().call("GET", "/readyz").status == 200);
}
