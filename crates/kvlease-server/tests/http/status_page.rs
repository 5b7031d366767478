//! The status page and the history behind it, byte by byte; the contract suite has them in a browser.

use std::collections::BTreeSet;

use kvlease_api::{HISTORY_SAMPLES_MAX, HistoryReply, PAGE_LEN_MAX, Total, encode};
use kvlease_harness::wire::Reply;
use kvlease_types::{BucketName, BucketPolicy, ByteSize};

use crate::{daemon::Daemon, table::rows, wire::refused};

const DOCUMENT: &str = include_str!("../../../../docs/status-page.md");

fn page(daemon: &Daemon, target: &str) -> String {
    let reply = daemon.wire().call("GET", target);
    assert_eq!(reply.status, 200, "{target}: {reply:?}");
    let text = reply.text();
    assert!(text.len() <= PAGE_LEN_MAX, "{}", text.len());
    text
}

/// The value of the figure in the element of this id.
fn figure(page: &str, id: &str) -> String {
    let rest = page.split(&format!("id=\"{id}\"")).nth(1).unwrap_or_else(|| panic!("no {id}"));
    let value = rest.split("<data value=\"").nth(1).unwrap();
    value.split('"').next().unwrap().to_owned()
}

/// Values of the attributes of this name, in their order.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let pieces = page.split(&format!(" {name}=\"")).collect::<Vec<_>>();
    pieces[1..].iter().map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Stores an object in a bucket.
fn put_in(daemon: &Daemon, bucket: &str, key: &str, bytes: &[u8]) {
    let target = format!("/v1/kv/{}/{}", encode(bucket), encode(key));
    assert_eq!(daemon.wire().put(&target, bytes).status, 200, "{target}");
}

/// The rows of the table body of this id.
fn table(page: &str, id: &str) -> Vec<String> {
    let body = page.split(&format!("<tbody id=\"{id}\"")).nth(1).unwrap();
    let body = body.split("</tbody>").next().unwrap();
    body.split("<tr>").skip(1).map(str::to_owned).collect()
}

#[test]
fn the_page_of_an_empty_daemon_is_complete_and_loads_nothing_from_elsewhere() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let reply = wire.call("GET", "/");
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = reply.header("content-security-policy").unwrap();
    for part in ["default-src 'self'", "frame-ancestors 'none'", "form-action 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let page = reply.text();
    for text in ["no bucket", "nothing lately", "cache.curve_memory_max", env!("CARGO_PKG_VERSION")]
    {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!([" style=", " onclick=", "<style"].map(|sign| page.contains(sign)), [false; 3]);
    let links = ["href", "src"].map(|name| attributes(&page, name)).concat();
    assert!(links.iter().all(|link| !link.contains("//")), "{links:?}");
    assert_eq!(
        page.matches("<script").count(),
        page.matches("<script defer src=\"./assets/").count()
    );
    let ids = attributes(&page, "id");
    assert_eq!(BTreeSet::from_iter(&ids).len(), ids.len(), "every id is there once: {ids:?}");
    for anchor in attributes(&page, "href").iter().filter_map(|href| href.strip_prefix('#')) {
        assert!(ids.contains(&anchor), "{anchor}");
    }
    let head = wire.call("HEAD", "/");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

fn asset_headers(reply: &Reply) -> [Option<&str>; 2] {
    ["cache-control", "x-content-type-options"].map(|name| reply.header(name))
}

#[test]
fn files_of_the_page_are_kept_for_ever_under_their_names() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let page = wire.call("GET", "/").text();
    let links: Vec<_> = ["href", "src"].iter().flat_map(|name| attributes(&page, name)).collect();
    let names: BTreeSet<_> =
        links.iter().filter_map(|link| link.strip_prefix("./assets/")).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    for name in names {
        let reply = wire.call("GET", &format!("/assets/{name}"));
        assert_eq!(reply.status, 200, "{name}");
        let expected = ["public, max-age=31536000, immutable", "nosniff"];
        assert_eq!(asset_headers(&reply), expected.map(Some), "{name}");
        let kind = match name.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/plain; charset=utf-8",
        };
        assert_eq!(reply.header("content-type"), Some(kind), "{name}");
        assert!(!reply.body.is_empty());
    }
    for link in links.iter().filter_map(|link| link.strip_prefix("./")) {
        assert_eq!(wire.call("GET", &format!("/{link}")).status, 200, "{link}");
    }
    for name in ["status.js", "", "..%2Fstatus.js"] {
        let refusal = wire.call("GET", &format!("/assets/{name}")).refusal();
        assert_eq!(refusal, refused(404, "not_found"), "{name}");
    }
}

#[test]
fn names_of_buckets_and_keys_are_text_and_nothing_else() {
    let names =
        ["<script>alert(1)</script>", "a\"b'c&d", "100%", "</td><b>", "{{ root }}", "ü\u{202e}"];
    let daemon = Daemon::with(|config| {
        let policy = BucketPolicy { pinned: vec!["<i>".to_owned()], ..BucketPolicy::default() };
        config.buckets.insert(BucketName::new("<img src=x>").unwrap(), policy);
    });
    for name in names {
        put_in(&daemon, name, name, b"bytes");
    }
    let page = page(&daemon, "/");
    for raw in ["<script>", "<b>", "<i>", "<img", "a\"b", "b'c", "c&d"] {
        assert!(!page.contains(raw), "{raw}");
    }
    let unescape = |text: &str| {
        let text = text.replace("&#60;", "<").replace("&#62;", ">").replace("&#34;", "\"");
        text.replace("&#39;", "'").replace("&#38;", "&")
    };
    for id in ["bucket-rows", "event-rows"] {
        let rows: Vec<_> = table(&page, id).iter().map(|row| unescape(row)).collect();
        assert_eq!(rows.len(), names.len());
        for name in names {
            assert!(rows.iter().any(|row| row.contains(name)), "{name} in {rows:?}");
        }
    }
    assert!(unescape(&page).contains("[bucket.\"<img src=x>\"]"), "the configuration shows it");
}

#[test]
fn the_page_has_the_values_of_the_state_in_numbers() {
    let daemon = Daemon::start();
    for (key, len) in [("a", 10_000), ("b", 300)] {
        daemon.put(key, &vec![7; len]);
    }
    let lease = daemon.lease("a");
    for _ in 0..3 {
        assert_eq!(daemon.wire().call("POST", "/v1/kv/b/none/leases").status, 404);
    }
    let (page, stats) = (page(&daemon, "/"), daemon.stats());
    assert_eq!((stats.hits, stats.misses, stats.leases), (1, 3, 1));
    for (id, value) in
        [("hit-count", stats.hits), ("miss-count", stats.misses), ("lease-rows", stats.leases)]
    {
        assert_eq!(figure(&page, id), value.to_string(), "{id}");
    }
    assert_eq!(figure(&page, "hit-ratio"), "0.25");
    let parts = table(&page, "space");
    let bytes: Vec<u64> = parts.iter().map(|row| value_of(row)).collect();
    let unpopulated = stats.capacity - stats.populated;
    let expected = [stats.allocated, stats.writing, stats.quarantined, stats.free, unpopulated];
    assert_eq!(bytes, expected);
    assert_eq!(value_of(&table(&page, "tiers")[0]), stats.objects);
    let absent = table(&page, "miss-rows").into_iter().find(|row| row.contains("<code>absent<"));
    assert_eq!(value_of(&absent.unwrap()), 3);
    assert!(page.contains(&format!("<code>{}</code>", stats.epoch)));
    assert_eq!(table(&page, "event-rows").len(), 2);
    daemon.release(&lease);
}

/// The first figure of a row.
fn value_of(row: &str) -> u64 {
    attributes(row, "value")[0].parse().unwrap()
}

#[test]
fn ten_thousand_buckets_are_shown_page_by_page() {
    const BUCKETS: usize = 10_000;
    let daemon = Daemon::with(|config| config.capacity = Some(ByteSize::mib(64)));
    let mut wire = daemon.wire();
    for number in 1..=BUCKETS {
        assert_eq!(wire.put(&format!("/v1/kv/bucket{number}/k"), &vec![1; number / 4]).status, 200);
    }
    let first = page(&daemon, "/");
    let rows = table(&first, "bucket-rows");
    assert_eq!(
        (rows.len(), value_of(&first[first.find("<caption><data").unwrap()..])),
        (25, 10_000)
    );
    assert!(rows[0].contains(">bucket10000<"), "{}", rows[0]);
    let others = first.split("<tfoot>").nth(1).unwrap();
    assert_eq!(value_of(others), 9_975);
    let second = page(&daemon, "/?span=hour&buckets_from=25");
    assert!(table(&second, "bucket-rows")[0].contains(">bucket9972<"));
    let links = attributes(&second, "href");
    assert!(links.contains(&"?span=hour&amp;buckets_from=0#buckets"), "{links:?}");
    assert!(links.contains(&"?span=hour&amp;buckets_from=50#buckets"), "{links:?}");
    let last = page(&daemon, "/?buckets_from=9975");
    assert_eq!(table(&last, "bucket-rows").len(), 25);
    assert!(!last.contains("id=\"smaller\"") && !last.contains("<tfoot>"));
    assert!(page(&daemon, "/?buckets_from=10000").contains("no bucket"));
    for query in ["buckets_from=10001", "buckets_from=x", "span=week"] {
        let refusal = wire.call("GET", &format!("/?{query}")).refusal();
        assert_eq!(refusal, refused(400, "invalid"), "{query}");
    }
}

#[test]
fn the_page_has_the_path_that_is_configured_or_none() {
    let at = |path: &str| {
        let set = vec![format!("server.status_page_path={path}")];
        let args = kvlease_server::ServeArgs { set, ..Default::default() };
        let loaded = kvlease_server::config::load(&args, []).unwrap();
        Daemon::with(|config| config.status_page_path = loaded.status_page_path)
    };
    let daemon = at("/ops/kvlease");
    assert!(page(&daemon, "/ops/kvlease?span=day").contains("src=\"../assets/"));
    for path in ["/", "/ops", "/ops/kvlease/"] {
        assert_eq!(daemon.wire().call("GET", path).refusal(), refused(404, "no_route"), "{path}");
    }
    let daemon = at("none");
    for path in ["/", "/none"] {
        assert_eq!(daemon.wire().call("GET", path).refusal(), refused(404, "no_route"), "{path}");
    }
    assert_eq!(daemon.wire().call("GET", "/v1/history").status, 200);
}

fn history(daemon: &Daemon, query: &str) -> HistoryReply {
    daemon.wire().call("GET", &format!("/v1/history{query}")).json()
}

/// Sum of the counts of a series.
fn sum(history: &HistoryReply, series: &str) -> u64 {
    let count = |total: &Option<Total>| match total {
        Some(Total::Count(count)) => *count,
        other => panic!("{series} has {other:?}"),
    };
    history.series[series].iter().map(count).sum()
}

#[test]
fn the_history_adds_up_to_the_state_in_numbers() {
    let daemon = Daemon::start();
    for key in 0..5 {
        daemon.put(&key.to_string(), &[7; 1_000]);
    }
    let lease = daemon.lease("0");
    assert_eq!(daemon.wire().call("POST", "/v1/kv/b/none/leases").status, 404);
    daemon.eventually("a sample", || sum(&history(&daemon, ""), "misses") == 1);
    let all = history(&daemon, "?span=hour");
    for (series, total) in [
        ("stored_objects", 5),
        ("received_bytes", 5_000),
        ("hits", 1),
        ("misses_absent", 1),
        ("evicted_objects", 0),
    ] {
        assert_eq!(sum(&all, series), total, "{series}");
    }
    assert!(all.interval_s == 5 && all.times.len() <= HISTORY_SAMPLES_MAX && all.times.is_sorted());
    assert!(all.series.values().all(|values| values.len() == all.times.len()));
    let lasts = |series: &str| all.series[series].last().cloned().unwrap();
    assert_eq!([lasts("objects"), lasts("leases")], [5, 1].map(|n| Some(Total::Count(n))));
    assert_eq!(lasts("tiers_used_bytes"), None, "there is no tier");
    let put = all.series["put_p99_seconds"].iter().flatten().next();
    assert!(matches!(put, Some(Total::Seconds(seconds)) if *seconds > 0.0), "{put:?}");
    let last = *all.times.last().unwrap();
    assert!(history(&daemon, &format!("?since={last}")).times.iter().all(|at| *at > last));
    assert_eq!(history(&daemon, "?span=day").interval_s, 120);
    let refusal = daemon.wire().call("GET", "/v1/history?since=-1").refusal();
    assert_eq!(refusal, refused(400, "invalid"));
    daemon.release(&lease);
}

#[test]
fn the_table_of_series_is_the_list_of_series() {
    let listed = rows(DOCUMENT, "## Series");
    let listed: Vec<_> = listed.iter().map(|row| row[0].as_str()).collect();
    let served = history(&Daemon::start(), "");
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, served.series.keys().collect::<Vec<_>>());
}
