//! docs/configuration.md holds what the daemon takes.

use std::process::ExitCode;

use kvlease_server::{
    ServeArgs, ServeError, Server,
    config::{Config, SETTINGS, SocketPlace, load},
};
use kvlease_types::ByteSize;

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
