//! From file, environment and flags to a checked configuration.

use std::{fs, path::Path};

use super::{
    args::ServeArgs,
    error::ConfigError,
    settings::{Config, SETTINGS, Setting},
};

/// How variables begin that are not settings: the one that names the file, those of the commands
/// that talk to a daemon, and those of the project's own tests.
const OTHER_VARIABLES: [&str; 6] = [
    "KVLEASE_CONFIG",
    "KVLEASE_URL",
    "KVLEASE_BUCKET",
    "KVLEASE_BIN",
    "KVLEASE_TEST_",
    "KVLEASE_CONTRACT_",
];

/// Makes the configuration that holds: defaults, then the file, then `environment`, then flags.
pub fn load(
    args: &ServeArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    if let Some(path) = &args.config {
        apply_file(&mut config, path)?;
    }
    apply_environment(&mut config, environment)?;
    apply_flags(&mut config, args)?;
    Ok(config)
}

fn apply_file(config: &mut Config, path: &Path) -> Result<(), ConfigError> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: shown.clone(),
        reason: error.to_string(),
    })?;
    let sections: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        ConfigError::Syntax {
            path: shown.clone(),
            reason: error.message().to_owned(),
            line: text[..start].lines().count().max(1),
        }
    })?;
    for (section, keys) in sections {
        let toml::Value::Table(keys) = keys else {
            return Err(unknown(&section, &plain(&keys), &shown));
        };
        for (key, value) in keys {
            set(config, &format!("{section}.{key}"), &plain(&value), &shown)?;
        }
    }
    Ok(())
}

fn apply_environment(
    config: &mut Config,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    let mut ours: Vec<_> =
        environment.into_iter().filter(|(name, _)| name.starts_with("KVLEASE_")).collect();
    ours.sort();
    for (name, value) in ours {
        match SETTINGS.iter().find(|setting| setting.env == name) {
            Some(setting) => apply(config, setting, &value, &name)?,
            None if OTHER_VARIABLES.iter().any(|other| name.starts_with(other)) => {}
            None if is_service_link(&name) => {}
            None => return Err(unknown_variable(&name, &value)),
        }
    }
    Ok(())
}

/// Whether Kubernetes made this variable, for a service whose name begins with `kvlease`: it sets
/// `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT…`, `NAME_PORT` and `NAME_PORT_9200_TCP…` in every
/// container of the namespace.
fn is_service_link(name: &str) -> bool {
    let numbered = name.split("_PORT_").skip(1);
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || numbered.into_iter().any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn apply_flags(config: &mut Config, args: &ServeArgs) -> Result<(), ConfigError> {
    for pair in &args.set {
        let (path, value) = pair.split_once('=').unwrap_or((pair, ""));
        set(config, path, value, "--set")?;
    }
    let flags = [
        ("server.address", &args.listen, "--listen"),
        ("cache.shared_memory_name", &args.shared_memory_name, "--shared-memory-name"),
        ("cache.capacity", &args.capacity, "--capacity"),
        ("server.socket", &args.socket, "--socket"),
    ];
    for (path, value, flag) in flags {
        if let Some(value) = value {
            set(config, path, value, flag)?;
        }
    }
    config.cold |= args.cold;
    Ok(())
}

fn set(config: &mut Config, path: &str, value: &str, origin: &str) -> Result<(), ConfigError> {
    match SETTINGS.iter().find(|setting| setting.path == path) {
        Some(setting) => apply(config, setting, value, origin),
        None => Err(unknown(path, value, origin)),
    }
}

fn apply(
    config: &mut Config,
    setting: &Setting,
    value: &str,
    origin: &str,
) -> Result<(), ConfigError> {
    (setting.set)(config, value).map_err(|remedy| ConfigError::Value {
        key: setting.path.into(),
        value: value.into(),
        remedy,
        origin: origin.into(),
    })
}

fn unknown(path: &str, value: &str, origin: &str) -> ConfigError {
    let section = path.split('.').next().unwrap_or_default();
    let siblings: Vec<_> = SETTINGS
        .iter()
        .filter_map(|setting| setting.path.strip_prefix(section)?.strip_prefix('.'))
        .collect();
    let remedy = if siblings.is_empty() {
        "use one of the sections server, cache, lease, log".to_owned()
    } else {
        format!("in {section} there are {}", siblings.join(", "))
    };
    ConfigError::Unknown { key: path.into(), value: value.into(), remedy, origin: origin.into() }
}

fn unknown_variable(name: &str, value: &str) -> ConfigError {
    let names: Vec<_> = SETTINGS.iter().map(|setting| setting.env).collect();
    ConfigError::Unknown {
        key: name.into(),
        value: value.into(),
        remedy: format!("unset it, or use one of {}", names.join(", ")),
        origin: "environment".into(),
    }
}

/// A TOML value as one would write it in a flag.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use kvlease_types::ByteSize;

    use super::*;

    fn file(name: &str, text: &str) -> ServeArgs {
        let path = std::env::temp_dir().join(format!("kvlease-{name}-{}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        ServeArgs { config: Some(path), ..ServeArgs::default() }
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn flags_beat_the_environment_and_that_beats_the_file() {
        let text = "[server]\naddress = \"[::1]:1\"\n[cache]\ncapacity = \"1GiB\"\n\
                    shared_memory_name = \"ai_toolkit_cache\"\n[lease]\nttl_max_s = 60\n";
        let mut args = file("layers", text);
        args.capacity = Some("3GiB".into());
        let environment = variables(&[
            ("KVLEASE_CAPACITY", "2GiB"),
            ("KVLEASE_LISTEN", "127.0.0.1:2"),
            ("KVLEASE_SERVICE_HOST", "10.0.0.1"),
            ("HOME", "/home/op"),
        ]);
        let config = load(&args, environment).unwrap();
        assert_eq!(config.capacity, Some(ByteSize::gib(3)));
        assert_eq!(config.address, SocketAddr::from(([127, 0, 0, 1], 2)));
        assert_eq!(config.shared_memory_name.to_string(), "ai_toolkit_cache");
        assert_eq!(config.lease_ttl_max, Duration::from_secs(60));
    }

    #[test]
    fn every_mistake_is_one_line_that_names_key_value_and_remedy() {
        let cases = [
            (file("typo", "[cache]\ncapasity = \"1GiB\"\n"), "cache.capasity", "1GiB", "capacity"),
            (file("section", "[cash]\ncapacity = 1\n"), "cash.capacity", "1", "cache"),
            (file("top", "capacity = \"2GiB\"\n"), "capacity", "2GiB", "sections"),
            (file("unit", "[cache]\ncapacity = \"1XiB\"\n"), "cache.capacity", "1XiB", "1GiB"),
            (file("toml", "[cache]\n\ncapacity = = 1\n"), "line", "3", "TOML"),
            (
                ServeArgs { listen: Some("localhost".into()), ..Default::default() },
                "server.address",
                "localhost",
                "127.0.0.1:9200",
            ),
            (
                ServeArgs { set: vec!["cache.segment_mode=0777".into()], ..Default::default() },
                "cache.segment_mode",
                "0777",
                "octal",
            ),
            (
                ServeArgs {
                    config: Some("/nonexistent/kvlease.toml".into()),
                    ..Default::default()
                },
                "config",
                "/nonexistent/kvlease.toml",
                "path",
            ),
        ];
        for (args, key, value, remedy) in cases {
            let message = load(&args, []).unwrap_err().to_string();
            for part in [key, &format!("`{value}`"), remedy] {
                assert!(message.contains(part), "{part} is not in: {message}");
            }
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn what_kubernetes_says_of_services_is_no_setting() {
        let environment = variables(&[
            ("KVLEASE_SERVICE_HOST", "10.0.0.1"),
            ("KVLEASE_METRICS_SERVICE_PORT_HTTP", "9200"),
            ("KVLEASE_PORT", "tcp://10.0.0.1:9200"),
            ("KVLEASE_METRICS_PORT_9200_TCP_ADDR", "10.0.0.1"),
        ]);
        assert_eq!(load(&ServeArgs::default(), environment), Ok(Config::default()));
    }

    #[test]
    fn unknown_variables_are_refused() {
        let environment = variables(&[("KVLEASE_CAPASITY", "1GiB")]);
        let message = load(&ServeArgs::default(), environment).unwrap_err().to_string();
        assert!(message.contains("KVLEASE_CAPASITY=`1GiB`"), "{message}");
        assert!(message.contains("KVLEASE_CAPACITY"), "{message}");
    }
}
