//! Traces and metrics as a collector gets them.

mod collector;

use std::{collections::BTreeSet, fs};

use kvlease_api::REQUEST_ID_HEADER;
use kvlease_harness::wire::Reply;
use kvlease_server::{
    ServeArgs,
    config::{Config, load},
};
use opentelemetry_proto::tonic::{
    metrics::v1::{metric::Data, number_data_point::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use tempfile::TempDir;

use crate::{
    daemon::Daemon,
    lane::client::Client,
    metrics::{open_metrics, served},
    tiers::{self, Disk, OBJECTS},
};
use collector::{Collector, attributes};

/// Trace and span of a caller.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Sends to a collector, with these settings of the section beside its address.
fn configure(config: &mut Config, collector: &Collector, settings: &[&str]) {
    let endpoint = format!("otlp.endpoint=http://{}", collector.address);
    let own = settings.iter().map(|setting| format!("otlp.{setting}"));
    let set = std::iter::once(endpoint).chain(own).collect();
    config.otlp = load(&ServeArgs { set, ..ServeArgs::default() }, []).unwrap().otlp;
}

/// Asks with an id, and the header `traceparent` with these flags.
fn ask(daemon: &Daemon, (method, target): (&str, &str), id: &str, flags: &str) -> Reply {
    let mut wire = daemon.wire();
    wire.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: d\r\n{REQUEST_ID_HEADER}: {id}\r\n\
         traceparent: 00-{TRACE}-{CALLER}-{flags}\r\nAuthorization: Bearer secret-token\r\n\
         Content-Length: 0\r\n\r\n"
    ));
    wire.reply()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[test]
fn requests_and_frames_are_traced_and_nothing_secret_goes_out() {
    let (collector, dir) = (Collector::start(), TempDir::new().unwrap());
    let headers = dir.path().join("headers");
    fs::write(&headers, "X-Scope: tenant-7\n").unwrap();
    let file = format!("headers_file={}", headers.display());
    let settings = ["sample_ratio=1", "resource_attributes=service.name=cache,rack=r1", &file];
    let mut daemon = Daemon::with(|config| configure(config, &collector, &settings));
    daemon.put("secret-key", b"secret-bytes");
    let target = "/v1/kv/b/secret-key?timeout_ms=secret";
    assert_eq!(ask(&daemon, ("GET", target), "get-1", "01").status, 200);
    assert_eq!(ask(&daemon, ("GET", target), "get-2", "00").status, 200);
    assert_eq!(ask(&daemon, ("GET", "/v1/kv/b/secret-other"), "get-3", "01").status, 404);
    assert_eq!(ask(&daemon, ("SECRET", "/v1/kv/b/secret-key"), "bad-1", "01").status, 405);
    let mut client = Client::reader(&daemon);
    client.acquire(&["secret-key"]);
    daemon.begin_shutdown()();

    let (spans, resource) = collector.spans();
    let resource = attributes(&resource.attributes);
    assert_eq!((resource["service.name"].as_str(), resource["rack"].as_str()), ("cache", "r1"));
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    let gets = named(&spans, "GET /v1/kv/{bucket}/{key}");
    let [found, absent] = gets[..] else { panic!("the caller of get-2 is not traced: {spans:?}") };
    let expected = [
        ("http.request.method", "GET"),
        ("http.route", "/v1/kv/{bucket}/{key}"),
        ("http.response.status_code", "200"),
        ("http.response.body.size", "12"),
        ("http.request.body.size", "0"),
        ("kvlease.operation", "get"),
        ("kvlease.outcome", "ok"),
        ("kvlease.request_id", "get-1"),
        ("kvlease.bucket", "b"),
    ];
    let expected = expected.map(|(name, value)| (name, value.to_owned()));
    assert_eq!(attributes(&found.attributes), expected.into_iter().collect());
    assert_eq!((found.kind, hex(&found.trace_id)), (SpanKind::Server.into(), TRACE.to_owned()));
    assert_eq!((hex(&found.parent_span_id), found.span_id.len()), (CALLER.to_owned(), 8));
    assert!(found.span_id != absent.span_id && hex(&found.span_id) != CALLER);
    assert!(
        0 < found.start_time_unix_nano && found.start_time_unix_nano <= found.end_time_unix_nano
    );
    // Sampled, and a part of another process's span.
    assert_eq!(found.flags, 0x301);
    // A miss is no error.
    let miss = attributes(&absent.attributes);
    assert_eq!((miss["kvlease.outcome"].as_str(), miss.get("error.type")), ("not_found", None));
    let unset = i32::from(StatusCode::Unset);
    assert!(spans.iter().all(|span| span.status.as_ref().unwrap().code == unset));
    let [odd] = named(&spans, "_OTHER")[..] else { panic!("{spans:?}") };
    assert_eq!(attributes(&odd.attributes)["error.type"], "method_not_allowed");
    // What names no trace begins one.
    for name in ["PUT /v1/kv/{bucket}/{key}", "lane acquire"] {
        let [root] = named(&spans, name)[..] else { panic!("{name}: {spans:?}") };
        assert_eq!((root.parent_span_id.len(), root.flags), (0, 0x101), "{name}");
        assert_ne!(hex(&root.trace_id), TRACE, "{name}");
        assert_eq!(attributes(&root.attributes)["kvlease.bucket"], "b", "{name}");
    }
    for message in [collector.messages("/v1/traces"), collector.messages("/v1/metrics")].concat() {
        assert_eq!(message.headers["x-scope"], "tenant-7");
        assert_eq!(message.headers["content-type"], "application/x-protobuf");
        let text = String::from_utf8_lossy(&message.body).to_lowercase();
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn all_metrics_go_out_by_the_names_under_which_they_are_scraped() {
    let collector = Collector::start();
    let mut daemon = Daemon::with(|config| configure(config, &collector, &["signals=metrics"]));
    daemon.put("k", b"four");
    assert_eq!(daemon.status_of("k"), 200);
    let text = open_metrics(&daemon);
    daemon.begin_shutdown()();
    let metrics = collector.last_metrics();
    let kind = |data: &Data, name: &str| match data {
        Data::Sum(sum) if sum.is_monotonic => "counter",
        Data::Histogram(_) => "histogram",
        Data::Gauge(_) if name.ends_with("_info") => "info",
        Data::Gauge(_) => "gauge",
        other => panic!("{other:?}"),
    };
    let sent: BTreeSet<_> = metrics
        .iter()
        .map(|one| (one.name.clone(), kind(one.data.as_ref().unwrap(), &one.name).to_owned()))
        .collect();
    let with_samples =
        |(name, _): &(String, String)| text.lines().any(|line| line.starts_with(name.as_str()));
    let scraped: BTreeSet<_> = served(&text).into_iter().filter(with_samples).collect();
    assert_eq!(sent, scraped);
    let of = |name: &str| metrics.iter().find(|one| one.name == name).unwrap();
    let Some(Data::Sum(sent)) = &of("kvlease_sent_bytes_total").data else { panic!() };
    assert_eq!(
        (of("kvlease_sent_bytes_total").unit.as_str(), &sent.data_points[0].value),
        ("By", &Some(Value::AsInt(4)))
    );
    let Some(Data::Sum(requests)) = &of("kvlease_requests_total").data else { panic!() };
    let puts = requests.data_points.iter().find(|point| {
        let labels = attributes(&point.attributes);
        labels["operation"] == "put" && labels["outcome"] == "ok"
    });
    assert_eq!(puts.unwrap().value, Some(Value::AsInt(1)));
    let Some(Data::Histogram(took)) = &of("kvlease_request_duration_seconds").data else {
        panic!()
    };
    for point in &took.data_points {
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    }
    let puts =
        took.data_points.iter().find(|point| attributes(&point.attributes)["operation"] == "put");
    assert_eq!(puts.unwrap().count, 1);
    assert!(collector.messages("/v1/traces").is_empty());
}

#[test]
fn loads_of_tiers_are_parts_of_the_request_and_stores_are_traces_of_their_own() {
    let (collector, disk) = (Collector::start(), Disk::new());
    let mut daemon = Daemon::with(|config| {
        disk.configure(config);
        configure(config, &collector, &["sample_ratio=1", "signals=traces"]);
    });
    tiers::fill(&daemon, 0..OBJECTS);
    // Some object left the arena, and comes back.
    let target = |number: usize| format!("/v1/kv/b/{}", tiers::key(number));
    let is_far = |number: &usize| {
        daemon.wire().call("GET", &format!("{}/locations", target(*number))).status == 404
    };
    let number = (0..OBJECTS).find(is_far).unwrap();
    let reply = ask(&daemon, ("GET", &target(number)), &format!("get-{number}"), "01");
    assert!(reply.status == 200 && reply.body == tiers::content(number), "{number}");
    daemon.begin_shutdown()();
    let (spans, _) = collector.spans();
    let [load] = named(&spans, "tier load")[..] else { panic!("{spans:?}") };
    assert_eq!((hex(&load.trace_id), load.kind), (TRACE.to_owned(), SpanKind::Client.into()));
    let request = spans.iter().find(|span| span.span_id == load.parent_span_id).unwrap();
    let id = format!("get-{number}");
    assert_eq!(attributes(&request.attributes)["kvlease.request_id"], id);
    let expected = [
        ("kvlease.tier", "nvme"),
        ("kvlease.bucket", "b"),
        ("kvlease.len", "1048576"),
        ("kvlease.outcome", "ok"),
    ];
    let expected = expected.map(|(name, value)| (name, value.to_owned()));
    assert_eq!(attributes(&load.attributes), expected.into_iter().collect());
    let stores = named(&spans, "tier store");
    assert!(!stores.is_empty());
    assert!(stores.iter().all(|store| store.parent_span_id.is_empty()));
}

#[test]
fn a_collector_that_never_answers_costs_spans_and_no_request() {
    let collector = Collector::start();
    collector.statuses.lock().unwrap().extend([0; 100_000]);
    let settings = ["sample_ratio=1", "interval_s=0.1", "timeout_s=0.2"];
    let mut daemon = Daemon::with(|config| configure(config, &collector, &settings));
    let of_spans =
        |outcome| daemon.metric(&format!("kvlease_otlp_spans_total{{outcome=\"{outcome}\"}}"));
    let mut wire = daemon.wire();
    // More than the queue and a batch have room for.
    for _ in 0..3_000 {
        assert_eq!(wire.call("GET", "/healthz").status, 200);
    }
    daemon.eventually("a full queue", || of_spans("queue_full") > 0.0);
    assert_eq!(of_spans("ok"), 0.0);
    daemon.eventually("a failed export of metrics", || {
        daemon.metric("kvlease_otlp_messages_total{signal=\"metrics\",outcome=\"failed\"}") > 0.0
    });
    // It ends in spite of what is left.
    daemon.begin_shutdown()();
    assert!(collector.spans().0.is_empty());
}

#[test]
fn what_a_collector_has_no_room_for_is_sent_again_and_what_it_refuses_is_not() {
    let collector = Collector::start();
    let of_spans = |daemon: &Daemon, outcome| {
        daemon.metric(&format!("kvlease_otlp_spans_total{{outcome=\"{outcome}\"}}"))
    };
    let daemon = Daemon::with(|config| {
        configure(config, &collector, &["sample_ratio=0", "signals=traces"]);
    });
    collector.statuses.lock().unwrap().extend([503, 429]);
    ask(&daemon, ("GET", "/healthz"), "again-1", "01");
    daemon.eventually("the span", || of_spans(&daemon, "ok") == 1.0);
    let (spans, _) = collector.spans();
    assert_eq!(spans.len(), 1, "requests without a trace are not traced: {spans:?}");
    assert_eq!(attributes(&spans[0].attributes)["kvlease.request_id"], "again-1");
    collector.statuses.lock().unwrap().push_back(400);
    ask(&daemon, ("GET", "/healthz"), "refused-1", "01");
    daemon.eventually("the refusal", || of_spans(&daemon, "failed") == 1.0);
    assert_eq!(collector.spans().0.len(), 1);
    let failed = "kvlease_otlp_messages_total{signal=\"traces\",outcome=\"failed\"}";
    assert_eq!(daemon.metric(failed), 1.0);
}

#[test]
fn files_of_no_use_are_refused_by_key_with_the_remedy() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "hunter2\n").unwrap();
    for (key, remedy) in [("headers_file", "NAME: VALUE"), ("tls_ca_file", "certificates in PEM")] {
        let collector = Collector::start();
        let mut config = Config::default();
        let setting = format!("{key}={}", file.display());
        configure(&mut config, &collector, &[&setting]);
        config.address = ([127, 0, 0, 1], 0).into();
        config.shared_memory_dir = dir.path().to_owned();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let Err(refused) = runtime.block_on(kvlease_server::Server::start(config)) else {
            panic!("it starts");
        };
        let refused = refused.to_string();
        for part in [&format!("otlp.{key}=`{}`", file.display()), remedy] {
            assert!(refused.contains(part), "{part} is not in: {refused}");
        }
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
