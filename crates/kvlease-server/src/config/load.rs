//! From file, environment and flags to a checked configuration.

use std::{collections::HashMap, io, mem, path::Path};

use kvlease_tier::without_credentials;

use super::{
    arena_checks, arenas,
    args::ServeArgs,
    buckets,
    error::ConfigError,
    eviction::Eviction,
    listeners::{self, FIRST_LISTENER, GivenListeners},
    otel,
    plain::plain,
    quotas,
    read::read_config,
    settings::{Config, SETTINGS, Setting},
    tenants, unknown, without_effect,
};
use crate::tiers::REMOTE_PASSWORD;

/// The settings of which one needs the other.
const EVICTION: &str = "cache.eviction";

/// The setting that may have a password.
const REMOTE_URL: &str = "tier.remote.url";

/// The setting whose limit is another setting.
const TTL_DEFAULT: &str = "lease.ttl_default_s";

/// The settings of which all are needed, or none.
const TLS_FILES: [&str; 3] =
    ["server.tls_certificate_file", "server.tls_key_file", "server.tls_client_ca_file"];

/// How variables begin that are not settings: the one that names the file, the password of a remote
/// tier, those of the commands that talk to a daemon, and those of the project's own tests.
const OTHER_VARIABLES: [&str; 8] = [
    "KVLEASE_CONFIG",
    REMOTE_PASSWORD,
    "KVLEASE_URL",
    "KVLEASE_BUCKET",
    "KVLEASE_TOKEN_FILE",
    "KVLEASE_BIN",
    "KVLEASE_TEST_",
    "KVLEASE_CONTRACT_",
];

/// Makes the configuration that holds: defaults, then the file, then `environment`, then flags.
pub fn load(
    args: &ServeArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    load_with_notes(args, environment).map(|(config, _)| config)
}

/// The same, with a sentence for an operator about each section that is taken without an effect.
pub fn load_with_notes(
    args: &ServeArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Config, Vec<String>), ConfigError> {
    let mut loading = Loading::default();
    let environment: Vec<_> = environment.into_iter().collect();
    loading.notes.extend(otel::apply(&mut loading.config, &environment));
    // An empty variable names no file.
    if let Some(path) = args.config.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        loading.apply_file(path)?;
    }
    loading.apply_environment(environment)?;
    loading.apply_flags(args)?;
    loading.notes.extend(without_effect::notes(&loading.config, |path| {
        loading.given.get(path).map(|given| (given.value.as_str(), given.origin.as_str()))
    }));
    let notes = mem::take(&mut loading.notes);
    Ok((loading.finish()?, notes))
}

/// A configuration on its way, and where its values come from.
#[derive(Default)]
struct Loading {
    config: Config,
    listeners: GivenListeners,
    given: HashMap<&'static str, Given>,
    notes: Vec<String>,
}

/// A value that was given.
struct Given {
    value: String,
    origin: String,
}

impl Loading {
    fn apply_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let shown = path.display().to_string();
        let text = read_config(path).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                let reason = "it is not UTF-8".to_owned();
                ConfigError::Syntax { path: shown.clone(), reason, line: 1 }
            }
            _ => ConfigError::Unreadable { path: shown.clone(), reason: error.to_string() },
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
                return Err(unknown::path(&section, &plain(&keys), &shown));
            };
            match section.as_str() {
                buckets::SECTION => buckets::apply(self.buckets(), keys, &shown)?,
                listeners::SECTION => self.listeners.apply(keys, &shown)?,
                arenas::SECTION => arenas::apply(&mut self.config.arenas, keys, &shown)?,
                tenants::SECTION => tenants::apply(&mut self.config.tenants, keys, &shown)?,
                section if without_effect::is_section(section) => {
                    self.notes.push(without_effect::note(section, &keys, &shown));
                }
                section => self.apply_section(section, keys, &shown)?,
            }
        }
        Ok(())
    }

    fn apply_section(
        &mut self,
        section: &str,
        keys: toml::Table,
        origin: &str,
    ) -> Result<(), ConfigError> {
        if keys.is_empty() && !unknown::is_section(section) {
            return Err(unknown::section(section, origin));
        }
        for (key, value) in keys {
            let path = format!("{section}.{key}");
            match value {
                toml::Value::Table(keys) => self.apply_section(&path, keys, origin)?,
                value => self.set(&path, &plain(&value), origin)?,
            }
        }
        Ok(())
    }

    fn apply_environment(
        &mut self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        // An empty variable is as good as none: a template that was left empty makes one.
        let is_ours =
            |(name, value): &(String, String)| name.starts_with("KVLEASE_") && !value.is_empty();
        let mut ours: Vec<_> = environment.into_iter().filter(is_ours).collect();
        ours.sort();
        for (name, value) in ours {
            match SETTINGS.iter().find(|setting| setting.env == name) {
                Some(setting) => self.apply(setting, &value, &name)?,
                None if OTHER_VARIABLES.iter().any(|other| name.starts_with(other)) => {}
                None if is_service_link(&name) => {}
                None => return Err(unknown::variable(&name, &value)),
            }
        }
        Ok(())
    }

    fn apply_flags(&mut self, args: &ServeArgs) -> Result<(), ConfigError> {
        for pair in &args.set {
            let (path, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.set(path, value, "--set")?;
        }
        let flags = [
            ("server.address", &args.listen, "--listen"),
            ("cache.shared_memory_name", &args.shared_memory_name, "--shared-memory-name"),
            ("cache.capacity", &args.capacity, "--capacity"),
            ("server.socket", &args.socket, "--socket"),
        ];
        for (path, value, flag) in flags {
            if let Some(value) = value {
                self.set(path, value, flag)?;
            }
        }
        self.config.cold |= args.cold;
        Ok(())
    }

    const fn buckets(&mut self) -> buckets::Buckets<'_> {
        let Config { buckets, bucket_quotas, salted_buckets, answer_times, .. } = &mut self.config;
        buckets::Buckets {
            policies: buckets,
            quotas: bucket_quotas,
            salted: salted_buckets,
            times: answer_times,
        }
    }

    fn set(&mut self, path: &str, value: &str, origin: &str) -> Result<(), ConfigError> {
        if let Some((bucket, key)) = buckets::POLICIES.split(path) {
            return buckets::set(&mut self.buckets(), bucket, key, value, origin);
        }
        if let Some((name, key)) = listeners::LISTENERS.split(path) {
            return self.listeners.set(name, key, value, origin);
        }
        if let Some((name, key)) = arenas::ARENAS.split(path) {
            return arenas::set(&mut self.config.arenas, name, key, value, origin);
        }
        if let Some((tenant, key)) = tenants::TENANTS.split(path) {
            return tenants::set(&mut self.config.tenants, tenant, key, value, origin);
        }
        match SETTINGS.iter().find(|setting| setting.path == path) {
            Some(setting) => self.apply(setting, value, origin),
            None => Err(unknown::path(path, value, origin)),
        }
    }

    fn apply(&mut self, setting: &Setting, value: &str, origin: &str) -> Result<(), ConfigError> {
        let value_shown = match setting.path {
            REMOTE_URL => without_credentials(value),
            _ => value.to_owned(),
        };
        let given = Given { value: value_shown, origin: origin.into() };
        match (setting.set)(&mut self.config, value) {
            Ok(()) => {
                self.given.insert(setting.path, given);
                Ok(())
            }
            Err(remedy) => Err(given.refused(setting.path, remedy)),
        }
    }

    /// Checks what several settings say together.
    fn finish(mut self) -> Result<Config, ConfigError> {
        let config = &mut self.config;
        if config.lease_ttl_default > config.lease_ttl_max {
            let most = config.lease_ttl_max.as_secs_f64();
            match self.given.remove(TTL_DEFAULT) {
                None => config.lease_ttl_default = config.lease_ttl_max,
                Some(given) => {
                    let remedy = format!("write at most lease.ttl_max_s, which is {most}");
                    return Err(given.refused(TTL_DEFAULT, remedy));
                }
            }
        }
        if config.eviction == Eviction::Auto
            && config.curve_memory_max.is_none()
            && let Some(given) = self.given.remove(EVICTION)
        {
            let remedy = "set cache.curve_memory_max, such as `32MiB`, or name a policy";
            return Err(given.refused(EVICTION, remedy.to_owned()));
        }
        let given = TLS_FILES.iter().find_map(|path| self.given.get(path));
        let origin = given.map_or("default", |given| &given.origin);
        config.tls.clone().checked(FIRST_LISTENER, origin)?;
        config.listeners = self.listeners.checked()?;
        tenants::check(&config.tenants, &config.listeners)?;
        arena_checks::check(config)?;
        quotas::check(config)?;
        Ok(self.config)
    }
}

impl Given {
    fn refused(self, path: &str, remedy: String) -> ConfigError {
        ConfigError::Value { key: path.into(), value: self.value, remedy, origin: self.origin }
    }
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

#[cfg(test)]
mod tests {
    use std::{fs, net::SocketAddr, time::Duration};

    use kvlease_types::ByteSize;

    use super::*;

    fn file(name: &str, text: impl AsRef<[u8]>) -> ServeArgs {
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
    fn an_empty_variable_is_as_good_as_none() {
        let environment = variables(&[("KVLEASE_CAPACITY", ""), ("KVLEASE_NO_SUCH", "")]);
        let args = ServeArgs { config: Some("".into()), ..ServeArgs::default() };
        assert_eq!(load(&args, environment), Ok(Config::default()));
    }

    #[test]
    fn the_file_of_the_original_daemon_is_taken_and_its_transfer_section_told() {
        let text = "[server]\naddress = \"[::]:9200\"\n[cache]\ncapacity = \"1GiB\"\n\
                    shared_memory_name = \"ai_toolkit_cache\"\n[transfer]\naddress = \"10.0.0.1:9240\"\n";
        let (config, notes) = load_with_notes(&file("original", text), []).unwrap();
        assert_eq!(config.address.to_string(), "[::]:9200");
        assert_eq!(config.shared_memory_name.to_string(), "ai_toolkit_cache");
        let [told] = &notes[..] else { panic!("{notes:?}") };
        for part in ["[transfer]", "keys=`address`", "tier.remote.url", "original"] {
            assert!(told.contains(part), "{part} is not in: {told}");
        }
        // It is no setting: nothing else can set it, and nothing near it is taken.
        let set = ServeArgs { set: vec!["transfer.address=x".into()], ..ServeArgs::default() };
        assert!(load(&set, []).is_err());
        assert!(load(&file("transfers", "[transfers]\naddress = 1\n"), []).is_err());
    }

    #[test]
    fn settings_of_what_is_not_there_are_told() {
        let notes = |text| load_with_notes(&file("off", text), []).unwrap().1;
        // A value like the default is not told of: `--print-config` prints all of them.
        let told = notes("[tier.nvme]\ncapacity = \"1GiB\"\n[audit]\nfiles_max = 8\n");
        let [told] = &told[..] else { panic!("{told:?}") };
        for part in ["without tier.nvme.path", "tier.nvme.capacity=`1GiB`", ".toml)"] {
            assert!(told.contains(part), "{part} is not in: {told}");
        }
        let all = "[tier.nvme]\ncapacity = \"1GiB\"\npath = \"/nvme\"\n";
        assert_eq!(notes(all), [""; 0]);
    }

    #[test]
    fn buckets_to_write_through_are_whole_names() {
        for (text, is_taken) in [
            ("all", true),
            ("none", true),
            ("lmcache, shared-x", true),
            ("lm*", false),
            ("lmcache,*", false),
            ("true", false),
        ] {
            let set = vec![format!("tier.nvme.write_through={text}"), "tier.nvme.path=/d".into()];
            match load(&ServeArgs { set, ..ServeArgs::default() }, []) {
                Ok(_) => assert!(is_taken, "{text}"),
                Err(error) => {
                    let line = error.to_string();
                    assert!(!is_taken && line.contains("write `all`"), "{text}: {line}");
                    assert!(line.contains(&format!("tier.nvme.write_through=`{text}`")), "{line}");
                }
            }
        }
    }

    #[cfg(feature = "remote")]
    #[test]
    fn a_url_of_no_tier_is_refused_and_its_password_not_shown() {
        for (url, part) in [
            ("ftp://:hunter2@host", "the scheme is not known"),
            ("redis://:hunter2@host:port", "the port"),
            ("hunter2@host", "redis://HOST:PORT"),
        ] {
            let set = vec![format!("tier.remote.url={url}")];
            let error = load(&ServeArgs { set, ..ServeArgs::default() }, []).unwrap_err();
            let line = error.to_string();
            assert!(line.contains(part) && line.contains("tier.remote.url=`"), "{line}");
            assert!(!line.contains("hunter2"), "{line}");
        }
    }

    #[test]
    fn a_default_ttl_follows_the_longest_one_unless_it_was_given() {
        let set = |settings: &[&str]| {
            let set = settings.iter().map(|setting| (*setting).to_owned()).collect();
            load(&ServeArgs { set, ..ServeArgs::default() }, [])
        };
        let config = set(&["lease.ttl_max_s=20"]).unwrap();
        assert_eq!(config.lease_ttl_default, Duration::from_secs(20));
        let refused = set(&["lease.ttl_default_s=30", "lease.ttl_max_s=20"]).unwrap_err();
        let line = refused.to_string();
        for part in ["lease.ttl_default_s=`30`", "lease.ttl_max_s, which is 20"] {
            assert!(line.contains(part), "{part} is not in: {line}");
        }
    }

    #[test]
    fn a_policy_is_chosen_only_by_a_curve() {
        let set = |settings: &[&str]| {
            let set = settings.iter().map(|setting| (*setting).to_owned()).collect();
            load(&ServeArgs { set, ..ServeArgs::default() }, [])
        };
        let config = set(&["cache.eviction=auto", "cache.curve_memory_max=8MiB"]).unwrap();
        assert_eq!(config.eviction, Eviction::Auto);
        let line = set(&["cache.eviction=auto"]).unwrap_err().to_string();
        assert!(line.contains("cache.eviction=`auto`"), "{line}");
        assert!(line.contains("cache.curve_memory_max"), "{line}");
    }

    #[test]
    fn a_configuration_comes_out_of_a_pipe_but_not_without_end() {
        let endless = ServeArgs { config: Some("/dev/zero".into()), ..ServeArgs::default() };
        let line = load(&endless, []).unwrap_err().to_string();
        assert!(line.contains("longer than"), "{line}");
        let empty = ServeArgs { config: Some("/dev/null".into()), ..ServeArgs::default() };
        assert_eq!(load(&empty, []), Ok(Config::default()));
    }

    #[test]
    fn every_mistake_is_one_line_that_names_key_value_and_remedy() {
        let cases = [
            (file("typo", "[cache]\ncapasity = \"1GiB\"\n"), "cache.capasity", "1GiB", "capacity"),
            (file("section", "[cash]\ncapacity = 1\n"), "cash.capacity", "1", "cache"),
            (file("top", "capacity = \"2GiB\"\n"), "capacity", "2GiB", "section [cache]"),
            (file("empty", "[cahce]\n[server]\n"), "[cahce]", "", "[cache]"),
            (file("unit", "[cache]\ncapacity = \"1XiB\"\n"), "cache.capacity", "1XiB", "1GiB"),
            (file("toml", "[cache]\n\ncapacity = = 1\n"), "line", "3", "TOML"),
            (file("latin", b"# Caf\xe9\n"), "line", "1", "UTF-8"),
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
