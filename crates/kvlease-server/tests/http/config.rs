//! docs/configuration.md holds what the daemon takes.

use std::process::ExitCode;

use kvlease_server::{
    ServeArgs, ServeError, Server,
    config::{Config, SETTINGS, SocketPlace, load},
};
use kvlease_types::ByteSize;

use kvlease_harness::{SHM_DIR, wire::Wire};

use crate::{daemon::Daemon, table::rows};

const DOCUMENT: &str = include_str!("../../../../docs/configuration.md");

#[test]
fn the_table_of_settings_is_the_list_of_settings() {
    let defaults = Config::default();
    let listed = SETTINGS.iter().map(|setting| {
        [setting.path, setting.env, &setting.value(&defaults), setting.about].map(str::to_owned)
    });
    let documented = rows(DOCUMENT, "## Settings");
    assert_eq!(documented.len(), SETTINGS.len());
    for (row, setting) in documented.iter().zip(listed) {
        assert_eq!(row[..], setting);
    }
}

/// The documented exit status of this error.
fn documented(error: &ServeError, status: u8) {
    let statuses = rows(DOCUMENT, "## Exit statuses");
    assert!(statuses.iter().any(|row| row[0] == status.to_string()), "{status}");
    let expected = format!("{:?}", ExitCode::from(status));
    assert_eq!(format!("{:?}", error.exit_code()), expected, "{error}");
}

async fn refused(config: Config) -> ServeError {
    match Server::start(config).await {
        Ok(_) => panic!("it starts"),
        Err(error) => error,
    }
}

#[test]
fn every_documented_exit_status_is_the_one_of_its_cause() {
    let arguments = ServeArgs { capacity: Some("much".into()), ..ServeArgs::default() };
    documented(&load(&arguments, []).unwrap_err().into(), 64);
    let daemon = Daemon::start();
    let mine = |change: &dyn Fn(&mut Config)| {
        let mut config = Config {
            address: ([127, 0, 0, 1], 0).into(),
            shared_memory_dir: daemon.segment().parent().unwrap().to_owned(),
            ..Config::default()
        };
        change(&mut config);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(refused(config))
    };
    documented(&mine(&|config| config.address = daemon.address), 69);
    documented(&mine(&|_| {}), 69);
    documented(&mine(&|config| config.shared_memory_dir = "/proc/none".into()), 73);
    let other = |config: &mut Config, socket| {
        config.shared_memory_name = "other".parse().unwrap();
        config.capacity = Some(ByteSize::mib(4));
        config.socket = SocketPlace::Path(socket);
    };
    documented(&mine(&|config| other(config, daemon.socket())), 69);
    documented(&mine(&|config| other(config, daemon.segment())), 73);
    documented(&mine(&|config| config.shared_memory_name = "n".repeat(100).parse().unwrap()), 64);
    let source = std::io::Error::other("no");
    documented(&ServeError::System { what: "threads", source }, 71);
    let statuses = rows(DOCUMENT, "## Exit statuses");
    let statuses: Vec<_> = statuses.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(statuses, ["0", "64", "69", "71", "73"]);
}

/// Every setting that is a number: its least and its most value, and one beyond each.
const NUMBERS: [(&str, [&str; 2], [&str; 2]); 40] = [
    ("server.connections_max", ["1", "1048576"], ["0", "1048577"]),
    ("server.connection_memory_max", ["32MiB", "64TiB"], ["33554431", "70368744177665"]),
    ("server.header_timeout_s", SECONDS, NO_SECONDS),
    ("server.put_stall_timeout_s", SECONDS, NO_SECONDS),
    ("server.put_timeout_s", SECONDS, NO_SECONDS),
    ("server.drain_timeout_s", SECONDS, NO_SECONDS),
    ("server.socket_mode", MODES, NO_MODES),
    ("server.socket_gid", IDS, NO_IDS),
    ("cache.capacity", SIZES, NO_SIZES),
    ("cache.segment_mode", MODES, NO_MODES),
    ("cache.segment_uid", IDS, NO_IDS),
    ("cache.segment_gid", IDS, NO_IDS),
    ("cache.catalog_memory_max", ["1MiB", "64TiB"], ["1048575", "70368744177665"]),
    ("cache.curve_memory_max", ["8MiB", "64TiB"], ["8388607", "70368744177665"]),
    ("cache.object_len_max", SIZES, NO_SIZES),
    ("cache.scrub_rate", SIZES, NO_SIZES),
    ("lease.ttl_default_s", SECONDS, NO_SECONDS),
    ("lease.ttl_max_s", SECONDS, NO_SECONDS),
    ("lease.grace_s", SECONDS, NO_SECONDS),
    ("lease.wait_max_s", SECONDS, NO_SECONDS),
    ("lease.live_max", ["1", "16777216"], ["0", "16777217"]),
    ("lease.reservation_ttl_s", SECONDS, NO_SECONDS),
    ("tier.nvme.capacity", SIZES, NO_SIZES),
    ("tier.nvme.rate_min", SIZES, NO_SIZES),
    ("tier.nvme.rate_max", SIZES, NO_SIZES),
    ("tier.remote.rate_min", SIZES, NO_SIZES),
    ("events.memory_max", SIZES, NO_SIZES),
    ("capture.file_size", ["1MiB", "64TiB"], ["1048575", "70368744177665"]),
    ("capture.files_max", ["1", "1000"], ["0", "1001"]),
    ("audit.file_size", ["1MiB", "64TiB"], ["1048575", "70368744177665"]),
    ("audit.files_max", ["1", "1000"], ["0", "1001"]),
    ("access_log.sample", ["1", "1000000"], ["0", "1000001"]),
    ("access_log.file_size", ["1MiB", "64TiB"], ["1048575", "70368744177665"]),
    ("access_log.files_max", ["1", "1000"], ["0", "1001"]),
    ("tier.remote.find_timeout_s", SECONDS, NO_SECONDS),
    ("tier.remote.timeout_s", SECONDS, NO_SECONDS),
    ("otlp.sample_ratio", ["0", "1"], ["-0.1", "1.1"]),
    ("otlp.interval_s", SECONDS, NO_SECONDS),
    ("otlp.timeout_s", SECONDS, NO_SECONDS),
    ("server.address", ["127.0.0.1:0", "127.0.0.1:65535"], ["127.0.0.1:-1", "127.0.0.1:65536"]),
];

const SECONDS: [&str; 2] = ["0.001", "31536000"];
const NO_SECONDS: [&str; 2] = ["0.0009", "31536001"];
const SIZES: [&str; 2] = ["1B", "64TiB"];
const NO_SIZES: [&str; 2] = ["0", "70368744177665"];
const MODES: [&str; 2] = ["0600", "0666"];
const NO_MODES: [&str; 2] = ["0577", "0667"];
const IDS: [&str; 2] = ["0", "4294967294"];
const NO_IDS: [&str; 2] = ["-1", "4294967295"];

#[test]
fn every_number_has_bounds_and_the_daemon_lives_with_what_is_within() {
    let is_number = |value: &str| value.starts_with(|first: char| first.is_ascii_digit());
    let defaults = Config::default();
    for setting in SETTINGS {
        let takes_numbers = is_number(&setting.value(&defaults))
            || setting.about.contains("size")
            || setting.about.contains("limit of");
        let listed = NUMBERS.iter().any(|(path, ..)| *path == setting.path);
        assert!(listed || !takes_numbers, "no bounds of {}", setting.path);
    }
    let loaded = |path: &str, value: &str| {
        let set = vec![format!("{path}={value}")];
        // The default of a shorter limit must not be what is refused.
        load(&ServeArgs { set, ..ServeArgs::default() }, [])
    };
    for (path, within, beyond) in NUMBERS {
        for value in beyond {
            let line = loaded(path, value).unwrap_err().to_string();
            assert!(line.contains(&format!("{path}=`{value}`")), "{line}");
            assert!(line.contains("write "), "the remedy is told: {line}");
        }
        for value in within {
            let value = match (path, value) {
                ("lease.ttl_default_s", "31536000") => "300",
                _ => value,
            };
            lives_with(path, value, loaded(path, value).unwrap());
        }
    }
}

/// Starts a daemon, which answers or says why it cannot start: it never aborts.
fn lives_with(path: &str, value: &str, config: Config) {
    let dir = tempfile::TempDir::with_prefix_in("kvlease-test-", SHM_DIR).unwrap();
    let address =
        if path == "server.address" { config.address } else { ([127, 0, 0, 1], 0).into() };
    let capacity = if path == "cache.capacity" { config.capacity } else { Some(ByteSize::mib(4)) };
    let shared_memory_dir = dir.path().to_owned();
    let config = Config { address, capacity, shared_memory_dir, ..config };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match runtime.block_on(Server::start(config)) {
        Ok(server) => {
            // Within a millisecond no head arrives.
            if (path, value) != ("server.header_timeout_s", SECONDS[0]) {
                let healthy = Wire::open(server.address()).call("GET", "/healthz").status;
                assert_eq!(healthy, 200, "{path}={value}");
            }
            runtime.block_on(server.abandon());
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{path}={value}: {error}"),
    }
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 0, "{path}={value}");
}
