//! Settings from configurations: the rules of LMCache's adapters, and where ours differ.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use kvlease_connector::SocketChoice;
use kvlease_http::TokenSource;
use kvlease_lmcache::{
    AdapterError, ConnectorContext, Settings, Value, create_connector, get_positive_float,
    get_positive_int, multi_process_settings, option_settings, settings,
};
use kvlease_testing::Draws;

const URL: &str = "sagemaker-hyperpod://127.0.0.1:9200";

fn table(entries: &[(&str, Value)]) -> BTreeMap<String, Value> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// In-process settings with one `sagemaker_hyperpod_` key.
fn with(key: &str, value: impl Into<Value>) -> Result<Settings, AdapterError> {
    let mut context = ConnectorContext::new(URL);
    context.extra_config.insert(format!("sagemaker_hyperpod_{key}"), value.into());
    settings(&context)
}

fn mp(entries: &[(&str, Value)]) -> Result<Settings, AdapterError> {
    multi_process_settings(URL, &table(entries), &|_| None)
}

fn list() -> Value {
    Value::Other { repr: "[1]".to_owned() }
}

#[test]
fn without_keys_the_defaults_are_those_of_lmcache() {
    let settings = settings(&ConnectorContext::new(URL)).unwrap();
    assert_eq!(settings.address.to_string(), "http://127.0.0.1:9200");
    assert_eq!(settings.bucket.as_str(), "lmcache");
    assert_eq!(settings.shared_memory_name.as_ref().unwrap().as_str(), "shared_memory");
    assert_eq!(settings.max_concurrent_requests, 100);
    assert_eq!((settings.max_connections, settings.max_connections_per_host), (256, 128));
    assert_eq!((settings.timeout_ms, settings.lease_wait_ms), (5000, 4500));
    assert_eq!((settings.lease_ttl_s, settings.put_stream_chunk_bytes), (30.0, 65536));
    assert_eq!((settings.max_lease_size_bytes, settings.copy_threads), (None, None));
    assert!(settings.warnings.is_empty());

    let settings = mp(&[]).unwrap();
    assert_eq!((settings.timeout_ms, settings.lease_wait_ms), (5000, 1000));
    assert_eq!((settings.lease_ttl_s, settings.put_stream_chunk_bytes), (30.0, 65536));
}

#[test]
fn the_connector_is_told_every_limit() {
    let mut context = ConnectorContext::new("kvlease://$NODE:9300");
    context.env = Arc::new(|name| (name == "NODE").then(|| "node-7".to_owned()));
    context.extra_config = table(&[
        ("sagemaker_hyperpod_bucket", "prod".into()),
        ("sagemaker_hyperpod_shared_memory_name", "/arena".into()),
        ("sagemaker_hyperpod_max_concurrent_requests", 7_u64.into()),
        ("sagemaker_hyperpod_max_connections", 3_u64.into()),
        ("sagemaker_hyperpod_timeout_ms", 800_u64.into()),
        ("sagemaker_hyperpod_lease_ttl_s", 2.5.into()),
        ("sagemaker_hyperpod_put_stream_chunk_bytes", 4096_u64.into()),
        ("sagemaker_hyperpod_max_lease_size_mb", 1.5.into()),
        ("kvlease_copy_threads", 2_u64.into()),
        ("kvlease_lease_retention_ms", 60_000_u64.into()),
        ("kvlease_shared_memory_dir", "/run/shm".into()),
        ("kvlease_tls_ca_file", "/etc/ca.pem".into()),
        ("kvlease_tls_certificate_file", "/etc/client.pem".into()),
        ("kvlease_tls_key_file", "/etc/client.key".into()),
        ("kvlease_token_file", "/etc/token".into()),
        ("kvlease_socket", "/run/kvlease/daemon.sock".into()),
        ("kvlease_lane_open_max_ms", 150_u64.into()),
        ("kvlease_index", "none".into()),
        ("kvlease_daemon_uid", 1_234_u64.into()),
        ("kvlease_groups", "yes".into()),
    ]);
    let config = settings(&context).unwrap().connector_config();
    let milliseconds = Duration::from_millis;
    assert_eq!(config.client.address.to_string(), "http://node-7:9300");
    assert_eq!(config.client.bucket.as_str(), "prod");
    assert_eq!(config.client.shared_memory_name.unwrap().as_str(), "arena");
    assert_eq!(config.client.shared_memory_dir, Path::new("/run/shm"));
    assert_eq!((config.client.requests_max, config.client.connections_max), (7, 3));
    assert_eq!(config.client.timeouts.connect, milliseconds(800));
    assert_eq!(config.client.timeouts.call, milliseconds(800));
    assert_eq!(config.client.timeouts.transfer, milliseconds(800));
    assert_eq!(config.client.trusted.daemon_uid, Some(1_234));
    assert_eq!(config.client.put_piece_len, 4096);
    assert_eq!(config.client.tls_ca_file.unwrap(), Path::new("/etc/ca.pem"));
    assert_eq!(config.client.tls_certificate_file.unwrap(), Path::new("/etc/client.pem"));
    assert_eq!(config.client.tls_key_file.unwrap(), Path::new("/etc/client.key"));
    assert_eq!(config.client.token, Some(TokenSource::File("/etc/token".into())));
    assert_eq!((config.lease_wait, config.lease_ttl), (milliseconds(720), milliseconds(2500)));
    assert_eq!(config.lease_len_max.unwrap().bytes(), 1_572_864);
    assert_eq!(config.lease_retention, config.lease_ttl, "never longer than the lease lives");
    assert_eq!(config.copy_threads.get(), 2);
    assert_eq!(config.socket, SocketChoice::At("/run/kvlease/daemon.sock".into()));
    assert_eq!(config.lane_open_max, milliseconds(150));
    assert!(!config.index);
    assert!(config.groups);
}

#[test]
fn a_token_is_in_no_error_and_no_warning() {
    let secret = "s3cret-s3cret";
    let settings = mp(&[("token", format!(" {secret}\n").as_str().into())]).unwrap();
    assert_eq!(settings.token, Some(TokenSource::Given(secret.parse().unwrap())));
    assert!(!format!("{settings:?}").contains(secret));
    let file = ("token_file", Value::from("/t"));
    for bad in [
        vec![("token", Value::from(secret)), file],
        vec![("token", format!("{secret} {secret}").as_str().into())],
        vec![("tokn", secret.into())],
    ] {
        let error = mp(&bad).unwrap_err().to_string();
        assert!(error.contains("=`…`") && !error.contains(secret), "{error}");
    }
    let mut context = ConnectorContext::new("kvlease://node-7:9200");
    context.extra_config =
        table(&[("kvlease_token", secret.into()), ("kvlease_tokens", secret.into())]);
    let warnings = kvlease_lmcache::settings(&context).unwrap().warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("in the clear"), "{warnings:?}");
    assert!(warnings.iter().all(|line| !line.contains(secret)), "{warnings:?}");
}

#[test]
fn a_certificate_of_the_client_has_two_files() {
    for (key, other) in
        [("tls_certificate_file", "tls_key_file"), ("tls_key_file", "tls_certificate_file")]
    {
        let error = mp(&[(key, "/f".into())]).unwrap_err().to_string();
        assert!(error.contains(&format!("{key}=`\"/f\"`")), "{error}");
        assert!(error.contains(&format!("give {other} as well")), "{error}");
    }
}

#[test]
fn the_published_index_is_read_unless_the_configuration_says_otherwise() {
    let index = |value: Value| {
        let settings = mp(&[("index", value)]);
        settings.map(|settings| settings.connector_config().index)
    };
    assert!(settings(&ConnectorContext::new(URL)).unwrap().connector_config().index);
    for value in [Value::Null, true.into(), "auto".into(), "AUTO".into()] {
        assert!(index(value).unwrap());
    }
    for value in [Value::from(false), "none".into(), "None".into()] {
        assert!(!index(value).unwrap());
    }
    for value in [Value::from(1_u64), "".into(), "off".into(), list()] {
        let error = index(value).unwrap_err().to_string();
        assert!(error.contains("give auto or none") && error.contains("index=`"), "{error}");
    }
}

#[test]
fn limits_beyond_any_machine_are_no_limits_and_do_no_harm() {
    let context = |extra_config| ConnectorContext { extra_config, ..ConnectorContext::new(URL) };
    let settings = settings(&context(table(&[
        ("sagemaker_hyperpod_max_concurrent_requests", u64::MAX.into()),
        ("sagemaker_hyperpod_max_connections", u64::MAX.into()),
        ("sagemaker_hyperpod_max_connections_per_host", u64::MAX.into()),
        ("sagemaker_hyperpod_put_stream_chunk_bytes", u64::MAX.into()),
        ("sagemaker_hyperpod_timeout_ms", 31_536_000_000_u64.into()),
        ("sagemaker_hyperpod_lease_ttl_s", 1e-300.into()),
        ("sagemaker_hyperpod_shared_memory_name", Value::Null),
    ])));
    let settings = settings.unwrap();
    assert_eq!(settings.max_connections, u64::MAX);
    let config = settings.connector_config();
    assert_eq!(config.lease_ttl, Duration::from_nanos(1));
    assert!(config.client.requests_max > 1 << 30 && config.client.connections_max > 1 << 30);
    drop(kvlease_connector::Connector::new(config));
}

#[test]
fn time_outs_and_pieces_have_the_lower_bounds_of_the_in_process_connector() {
    let settings = with("timeout_ms", 1_u64).unwrap();
    assert_eq!((settings.timeout_ms, settings.lease_wait_ms), (100, 50));
    assert_eq!(with("put_stream_chunk_bytes", 1_u64).unwrap().put_stream_chunk_bytes, 1024);
    let settings = mp(&[("timeout_ms", 1_u64.into()), ("put_stream_chunk_bytes", 1_u64.into())]);
    let settings = settings.unwrap();
    assert_eq!((settings.timeout_ms, settings.put_stream_chunk_bytes), (1, 1));
}

#[test]
fn numbers_are_taken_in_every_form_that_python_takes() {
    for value in [Value::from(7_u64), 7.9.into(), "7".into(), " 0_7\n".into(), "٧".into()] {
        assert_eq!(with("max_connections", value).unwrap().max_connections, 7);
    }
    assert_eq!(with("max_connections", true).unwrap().max_connections, 1);
    for value in [Value::from(2.5), "2.5".into(), "25e-1".into()] {
        assert_eq!(with("lease_ttl_s", value).unwrap().lease_ttl_s, 2.5);
    }
    let one_and_a_bit = with("max_lease_size_mb", "1.0000001").unwrap();
    assert_eq!(one_and_a_bit.max_lease_size_bytes, Some(1_048_576));
    assert_eq!(with("max_lease_size_mb", Value::Null).unwrap().max_lease_size_bytes, None);
}

#[test]
fn a_number_that_cannot_be_meant_is_an_error_with_key_value_and_remedy() {
    let error = with("timeout_ms", "5s").unwrap_err().to_string();
    assert_eq!(
        error,
        "the setting has a value that it cannot take: give a whole number from 1 to 31536000000, \
         sagemaker_hyperpod_timeout_ms=`5s`"
    );
    let zero = || [Value::from(0_u64), false.into(), 0.5.into(), "-1".into(), Value::Null, list()];
    for key in ["max_concurrent_requests", "max_connections", "timeout_ms"] {
        for value in zero() {
            let error = with(key, value.clone()).unwrap_err().to_string();
            let tail = format!("sagemaker_hyperpod_{key}=`{value}`");
            assert!(error.ends_with(&tail), "{error}");
        }
        assert!(with(key, 1e30).is_err());
    }
    for value in [f64::NAN, f64::INFINITY, 0.0, -1.0, 31_536_001.0] {
        assert!(with("lease_ttl_s", value).is_err(), "{value}");
    }
    for value in [f64::NAN, f64::INFINITY, 0.0, -1.0, 17_592_186_044_416.0] {
        assert!(with("max_lease_size_mb", value).is_err(), "{value}");
    }
}

#[test]
fn words_for_no_mean_no_and_other_words_are_refused() {
    let https =
        |value: Value| with("use_https", value).map(|settings| settings.address.to_string());
    for value in [Value::Null, false.into(), 0_u64.into(), 0.0.into(), "".into()] {
        assert_eq!(https(value).unwrap(), "http://127.0.0.1:9200");
    }
    for word in ["false", "False", " no ", "off", "0"] {
        assert_eq!(https(word.into()).unwrap(), "http://127.0.0.1:9200");
    }
    for value in [true.into(), 2_u64.into(), f64::NAN.into(), "True".into(), "yes".into()] {
        assert_eq!(https(value).unwrap(), "https://127.0.0.1:9200");
    }
    for value in [Value::from(" "), "maybe".into(), "nope".into(), list()] {
        assert!(matches!(https(value), Err(AdapterError::Value { .. })));
    }
}

#[test]
fn buckets_have_the_text_that_python_gives_them() {
    let bucket = |value: Value| with("bucket", value).map(|settings| settings.bucket.to_string());
    for (value, name) in [
        (Value::from("a b/ü"), "a b/ü"),
        (7_u64.into(), "7"),
        (true.into(), "True"),
        (1e16.into(), "1e+16"),
    ] {
        assert_eq!(bucket(value).unwrap(), name);
    }
    for value in [Value::Null, "".into(), "b".repeat(256).into(), list()] {
        assert!(matches!(bucket(value), Err(AdapterError::Value { .. })));
    }
}

#[test]
fn shared_memory_can_be_switched_off_in_every_way_that_anyone_tries() {
    let segment = |value: Value| with("shared_memory_name", value);
    for value in [Value::Null, "".into(), "none".into(), "None".into(), false.into(), 0.0.into()] {
        assert_eq!(segment(value).unwrap().shared_memory_name, None);
    }
    for value in [Value::from(true), 5_u64.into(), "/".into(), "a/b".into(), ".x".into(), list()] {
        let error = segment(value).unwrap_err().to_string();
        assert!(error.contains("sagemaker_hyperpod_shared_memory_name=`"), "{error}");
    }
    assert_eq!(mp(&[("shared_memory_name", Value::Null)]).unwrap().shared_memory_name, None);
}

#[test]
fn the_fast_lane_is_taken_where_it_is_told_of_unless_the_configuration_says_otherwise() {
    let socket = |value: Value| {
        let mut context = ConnectorContext::new(URL);
        context.extra_config = table(&[("kvlease_socket", value.clone())]);
        let made = settings(&context).map(|settings| settings.connector_config().socket);
        let other = mp(&[("socket", value)]).map(|settings| settings.connector_config().socket);
        assert_eq!(made.as_ref().ok(), other.as_ref().ok());
        made
    };
    let without = settings(&ConnectorContext::new(URL)).unwrap();
    assert_eq!(without.connector_config().socket, SocketChoice::Announced);
    for value in [Value::Null, "auto".into(), "Auto".into()] {
        assert_eq!(socket(value).unwrap(), SocketChoice::Announced);
    }
    for value in [Value::from(false), "none".into(), "None".into(), "NONE".into()] {
        assert_eq!(socket(value).unwrap(), SocketChoice::Never);
    }
    let longest = format!("/{}", "s".repeat(106));
    assert_eq!(socket(longest.clone().into()).unwrap(), SocketChoice::At(longest.clone().into()));
    let refused: [Value; 9] = [
        true.into(),
        1_u64.into(),
        0.0.into(),
        "".into(),
        "off".into(),
        "run/daemon.sock".into(),
        "/run/\0".into(),
        format!("{longest}s").into(),
        list(),
    ];
    for value in refused {
        let error = socket(value).unwrap_err().to_string();
        assert!(error.contains("give auto, none, or the socket's path"), "{error}");
        assert!(error.contains("kvlease_socket=`"), "{error}");
    }
}

#[test]
fn opening_the_fast_lane_takes_half_a_second_at_most_unless_the_configuration_says_otherwise() {
    let limit = |value: Value| {
        let mut context = ConnectorContext::new(URL);
        context.extra_config = table(&[("kvlease_lane_open_max_ms", value)]);
        settings(&context).map(|settings| settings.connector_config().lane_open_max)
    };
    let milliseconds = Duration::from_millis;
    let without = settings(&ConnectorContext::new(URL)).unwrap();
    assert_eq!(without.connector_config().lane_open_max, milliseconds(500));
    for (value, time_ms) in [(Value::Null, 500), (1_u64.into(), 1), ("2_000".into(), 2_000)] {
        assert_eq!(limit(value).unwrap(), milliseconds(time_ms));
    }
    for value in [0_u64.into(), (-1.0).into(), 31_536_000_001_u64.into(), "1s".into(), list()] {
        let error = limit(value).unwrap_err().to_string();
        assert!(error.contains("give a whole number from 1 to 31536000000"), "{error}");
        assert!(error.contains("kvlease_lane_open_max_ms=`"), "{error}");
    }
    assert!(mp(&[("lane_open_max_ms", "5".into())]).is_err());
    let made = mp(&[("lane_open_max_ms", 5_u64.into())]).unwrap();
    assert_eq!(made.connector_config().lane_open_max, milliseconds(5));
}

#[test]
fn the_user_of_the_daemon_is_a_number_that_a_user_can_have() {
    let user = |value: Value| {
        let mut context = ConnectorContext::new(URL);
        context.extra_config = table(&[("kvlease_daemon_uid", value)]);
        settings(&context).map(|settings| settings.connector_config().client.trusted.daemon_uid)
    };
    assert_eq!(user(Value::Null).unwrap(), None);
    for (value, uid) in [(0_u64.into(), 0), (65_534_u64.into(), 65_534), ("1000".into(), 1_000)] {
        assert_eq!(user(value).unwrap(), Some(uid));
    }
    for value in ["root".into(), (-1.0).into(), u64::from(u32::MAX).into(), list()] {
        let error = user(value).unwrap_err().to_string();
        assert!(error.contains("`id -u`") && error.contains("kvlease_daemon_uid=`"), "{error}");
    }
    assert!(mp(&[("daemon_uid", "1000".into())]).is_err());
    assert_eq!(mp(&[("daemon_uid", 1_000_u64.into())]).unwrap().daemon_uid, Some(1_000));
}

#[test]
fn the_mp_client_takes_only_numbers_for_numbers() {
    let taken = mp(&[("lease_ttl_ms", 1500_u64.into()), ("lease_wait_timeout_ms", 9_u64.into())]);
    let taken = taken.unwrap();
    assert_eq!((taken.lease_ttl_s, taken.lease_wait_ms), (1.5, 9));
    for (key, value) in [
        ("timeout_ms", Value::from("5")),
        ("timeout_ms", 5.0.into()),
        ("timeout_ms", true.into()),
        ("timeout_ms", Value::Null),
        ("use_https", Value::Null),
        ("use_https", 1_u64.into()),
        ("bucket", 7_u64.into()),
        ("shared_memory_name", false.into()),
        ("max_lease_size_mb", "1".into()),
        ("max_lease_size_mb", true.into()),
    ] {
        assert!(matches!(mp(&[(key, value)]), Err(AdapterError::Value { .. })), "{key}");
    }
    let error = mp(&[("max_connections", "5".into())]).unwrap_err().to_string();
    assert!(error.ends_with("max_connections=`\"5\"`"), "{error}");
}

#[test]
fn an_unknown_key_is_a_warning_where_others_have_keys_and_else_an_error() {
    let mut context = ConnectorContext::new(URL);
    context.extra_config = table(&[
        ("sagemaker_hyperpod_timeout", 5_u64.into()),
        ("kvlease_copy_thread", 5_u64.into()),
        ("use_exists_sync", true.into()),
    ]);
    let warnings = settings(&context).unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "a setting is not known and is ignored: did you mean `kvlease_copy_threads`?, \
             kvlease_copy_thread=`5`",
            "a setting is not known and is ignored: did you mean \
             `sagemaker_hyperpod_timeout_ms`?, sagemaker_hyperpod_timeout=`5`",
        ]
    );
    let error = mp(&[("lease_ttl_s", 30.0.into())]).unwrap_err().to_string();
    let known = "the setting is not known: did you mean `lease_ttl_ms`?, lease_ttl_s=`30.0`";
    assert_eq!(error, known);
    let unknown = table(&[("colour", "red".into())]);
    let error = option_settings(URL, &unknown, &|_| None).unwrap_err().to_string();
    assert_eq!(error, "the setting is not known: leave it out, colour=`red`");
}

#[test]
fn options_are_the_keys_without_their_prefixes() {
    let options = table(&[("lease_ttl_s", "1".into()), ("copy_threads", 3_u64.into())]);
    let settings = option_settings("kvlease://localhost", &options, &|_| None).unwrap();
    assert_eq!((settings.lease_ttl_s, settings.copy_threads.unwrap().get()), (1.0, 3));
}

#[test]
fn positive_numbers_can_be_asked_for_one_by_one() {
    let config = table(&[("a", "7".into()), ("b", 0.5.into()), ("c", f64::NAN.into())]);
    assert_eq!(get_positive_int(&config, "a", 1).unwrap(), 7);
    assert_eq!(get_positive_int(&config, "z", 1).unwrap(), 1);
    assert_eq!(get_positive_float(&config, "b", 1.0).unwrap(), 0.5);
    assert_eq!(get_positive_float(&config, "z", 1.5).unwrap(), 1.5);
    assert!(get_positive_int(&config, "b", 1).is_err());
    assert!(get_positive_int(&config, "z", 0).is_err());
    assert!(get_positive_float(&config, "c", 1.0).is_err());
    assert!(get_positive_float(&config, "z", -1.0).is_err());
}

#[tokio::test]
async fn a_connector_is_made_of_a_context() {
    let mut context = ConnectorContext::new("kvlease://127.0.0.1:1");
    let none = ("sagemaker_hyperpod_shared_memory_name", "none".into());
    context.extra_config = table(&[none, ("sagemaker_hyperpod_bucket", "b".into())]);
    let connector = create_connector(&context).unwrap();
    assert_eq!(connector.config().client.bucket.as_str(), "b");
    context.url = "kvlease://".to_owned();
    assert!(matches!(create_connector(&context), Err(AdapterError::EmptyUrl { .. })));
}

/// Texts of which values and URLs are put together.
const PIECES: [&str; 32] = [
    "",
    " ",
    "\0",
    "\n",
    "0",
    "1",
    "9",
    "_",
    "-",
    "+",
    ".",
    "e",
    "E5",
    "inf",
    "nan",
    "0x",
    "٣",
    "𝟗",
    "½",
    "\u{3000}",
    "\u{10ffff}",
    "none",
    "/",
    "$",
    "${",
    "}",
    "$A",
    ":",
    "://",
    "kvlease://",
    "@",
    "[::1]",
];

fn text(draws: &mut Draws) -> String {
    (0..draws.below(6)).map(|_| PIECES[draws.index(32)]).collect()
}

fn value(draws: &mut Draws) -> Value {
    let bits = u128::from(draws.next()) << 64 | u128::from(draws.next());
    match draws.below(6) {
        0 => Value::Null,
        1 => Value::Bool(draws.one_in(2)),
        2 => Value::Int(bits as i128 >> draws.below(128)),
        3 => Value::Float(f64::from_bits(bits as u64)),
        4 => Value::Other { repr: text(draws) },
        _ => Value::Str(text(draws)),
    }
}

#[test]
fn no_value_and_no_url_makes_the_adapter_panic() {
    let mut draws = Draws::seeded(0x5eed);
    let env = |name: &str| (name == "A").then(|| "$A${A}".to_owned());
    let long = [
        "bucket",
        "shared_memory_name",
        "max_concurrent_requests",
        "max_connections",
        "timeout_ms",
        "lease_ttl_s",
        "put_stream_chunk_bytes",
        "use_https",
        "max_lease_size_mb",
        "socket",
        "index",
    ];
    let mut taken = 0;
    for _ in 0..50_000 {
        let key = long[draws.index(long.len())];
        let url = if draws.one_in(4) { text(&mut draws) } else { URL.to_owned() };
        let short = table(&[(key, value(&mut draws)), ("copy_threads", value(&mut draws))]);
        let mut context = ConnectorContext::new(url.clone());
        context.env = Arc::new(env);
        context.extra_config = short
            .iter()
            .map(|(key, value)| (format!("sagemaker_hyperpod_{key}"), value.clone()))
            .collect();
        let key = context.extra_config.keys().next().cloned().unwrap();
        for made in [
            settings(&context),
            option_settings(&url, &short, &env),
            multi_process_settings(&url, &short, &env),
        ] {
            match made {
                Ok(made) => {
                    taken += 1;
                    drop(made.connector_config());
                }
                Err(error) => assert!(error.to_string().contains("=`"), "{error}"),
            }
        }
        drop(get_positive_int(&context.extra_config, &key, 1));
        drop(get_positive_float(&context.extra_config, &key, 1.0));
    }
    assert!(taken > 1000, "taken {taken}");
}
