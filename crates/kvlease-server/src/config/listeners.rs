//! Listeners beside `server.address`: sections `[listener."NAME"]` of the file, and
//! `--set listener.NAME.KEY=VALUE`.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use super::{
    error::ConfigError,
    named::{Named, Said, is_name},
    tls_files::{TlsFiles, TlsSettings},
    value,
};

/// The section that the listeners are in.
pub(super) const SECTION: &str = "listener";

/// Name of the listener at `server.address`, which no other one has.
pub const FIRST_LISTENER: &str = "server";

/// The most listeners in sections.
const LISTENERS_MAX: usize = 64;

/// The longest name of a listener, in bytes.
const NAME_LEN_MAX: usize = 64;

/// Sections of listeners.
pub(super) const LISTENERS: Named = Named {
    section: SECTION,
    keys: &[
        "address",
        "serves",
        TlsSettings::CERTIFICATE,
        TlsSettings::KEY,
        TlsSettings::CLIENT_CA,
    ],
    lists: &[],
    secrets: None,
};

/// A listener beside the one at `server.address`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenerConfig {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Requests that it answers.
    pub serves: Serves,
    /// Files of TLS; `None` for plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// Requests that a listener answers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Serves {
    /// All.
    #[default]
    All,
    /// Those of operators and supervisors that change nothing: health, readiness, metrics, state and
    /// the OpenAPI document.
    Operators,
}

impl Serves {
    const ALL: [Self; 2] = [Self::All, Self::Operators];

    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Operators => "operators",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|serves| serves.name() == text);
        found.ok_or_else(|| "write `all` or `operators`".into())
    }
}

/// Sections as they were given, until they are checked.
#[derive(Default)]
pub(super) struct GivenListeners(BTreeMap<String, Given>);

#[derive(Default)]
struct Given {
    origin: String,
    address: Option<SocketAddr>,
    serves: Serves,
    tls: TlsSettings,
}

impl GivenListeners {
    /// Adds the sections of a file.
    pub(super) fn apply(&mut self, section: toml::Table, origin: &str) -> Result<(), ConfigError> {
        LISTENERS.apply(section, origin, |name, said| match said {
            // One without keys lacks its address, which is told when all are checked.
            Said::Section => self.entry(name, origin).map(drop),
            Said::Value(key, value) => self.set(name, key, value, origin),
        })
    }

    /// Sets one key of a listener.
    pub(super) fn set(
        &mut self,
        name: &str,
        key: &str,
        value: &str,
        origin: &str,
    ) -> Result<(), ConfigError> {
        let given = self.entry(name, origin)?;
        let set = match key {
            "address" => value::address(value).map(|address| given.address = Some(address)),
            "serves" => Serves::parse(value).map(|serves| given.serves = serves),
            _ => match given.tls.file(key) {
                Some(file) => value::path_or_none(value).map(|path| *file = path),
                None => Err(LISTENERS.remedy_for_key(key)),
            },
        };
        set.map_err(|remedy| {
            ConfigError::value(&format!("{SECTION}.{name}.{key}"), value, &remedy, origin)
        })
    }

    /// The listeners, each with an address and with all files of TLS or none.
    pub(super) fn checked(self) -> Result<BTreeMap<String, ListenerConfig>, ConfigError> {
        let checked = self.0.into_iter().map(|(name, given)| {
            let path = format!("{SECTION}.{name}");
            let address = given.address.ok_or_else(|| {
                let remedy = "give the listener an address and a port, such as `0.0.0.0:9201`";
                ConfigError::value(&format!("{path}.address"), "", remedy, &given.origin)
            })?;
            let tls = given.tls.checked(&path, &given.origin)?;
            Ok((name, ListenerConfig { address, serves: given.serves, tls }))
        });
        checked.collect()
    }

    fn entry(&mut self, name: &str, origin: &str) -> Result<&mut Given, ConfigError> {
        let remedy = if !is_name(name, NAME_LEN_MAX) {
            format!("name a listener by 1 to {NAME_LEN_MAX} letters, digits, `-`, `.` and `_`")
        } else if name == FIRST_LISTENER {
            "choose another name, this one is that of server.address".to_owned()
        } else if self.0.len() == LISTENERS_MAX && !self.0.contains_key(name) {
            format!("write at most {LISTENERS_MAX} listeners")
        } else {
            let new = || Given { origin: origin.to_owned(), ..Given::default() };
            return Ok(self.0.entry(name.to_owned()).or_insert_with(new));
        };
        Err(ConfigError::value(SECTION, name, &remedy, origin))
    }
}

/// The listeners as sections of a file; nothing if there are none.
pub(super) fn print(listeners: &BTreeMap<String, ListenerConfig>) -> String {
    let table = |listener: &ListenerConfig| {
        let mut table = toml::Table::from_iter([
            ("address".to_owned(), listener.address.to_string().into()),
            ("serves".to_owned(), listener.serves.name().into()),
        ]);
        let path = |path: &PathBuf| toml::Value::from(path.display().to_string());
        if let Some(TlsFiles { certificate, key, client_ca }) = &listener.tls {
            table.insert(TlsSettings::CERTIFICATE.to_owned(), path(certificate));
            table.insert(TlsSettings::KEY.to_owned(), path(key));
            if let Some(client_ca) = client_ca {
                table.insert(TlsSettings::CLIENT_CA.to_owned(), path(client_ca));
            }
        }
        table.into()
    };
    let sections = listeners.iter().map(|(name, listener)| (name.clone(), table(listener)));
    LISTENERS.print(sections.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<BTreeMap<String, ListenerConfig>, String> {
        let mut listeners = GivenListeners::default();
        let mut file: toml::Table = text.parse().unwrap();
        let Some(toml::Value::Table(section)) = file.remove(SECTION) else { panic!("{text}") };
        let applied = listeners.apply(section, "file").and_then(|()| listeners.checked());
        applied.map_err(|error| error.to_string())
    }

    #[test]
    fn listeners_are_printed_the_way_they_load() {
        let text = "[listener.metrics]\naddress = \"0.0.0.0:9201\"\nserves = \"operators\"\n\
                    [listener.\"a.b\"]\naddress = \"[::]:9202\"\ntls_certificate_file = \"/c\"\n\
                    tls_key_file = \"/k\"\ntls_client_ca_file = \"/ca\"\n";
        let listeners = load(text).unwrap();
        assert_eq!(listeners["metrics"].serves, Serves::Operators);
        let files = listeners["a.b"].tls.clone().unwrap();
        assert_eq!(files.client_ca, Some("/ca".into()));
        let printed = print(&listeners);
        assert_eq!(load(&printed), Ok(listeners), "{printed}");
        assert_eq!(print(&BTreeMap::new()), "");
    }

    #[test]
    fn every_mistake_names_key_value_and_remedy() {
        let address = "[listener.m]\naddress = \"[::]:1\"\n";
        for (text, parts) in [
            ("[listener.m]\naddress = \"node:1\"\n", ["listener.m.address=`node:1`", "numeric"]),
            ("[listener.m]\nserves = \"all\"\n", ["listener.m.address=``", "an address"]),
            ("[listener]\naddress = \"[::]:1\"\n", ["listener.address=`[::]:1`", "[listener."]),
            ("[listener.server]\n", ["listener=`server`", "another name"]),
            ("[listener.\"a b\"]\n", ["listener=`a b`", "letters"]),
            ("[listener.a.b]\nserves = \"all\"\n", ["listener.a=`b`", "[listener.\"a.b\"]"]),
            (&format!("{address}serves = \"some\"\n"), ["serves=`some`", "`operators`"]),
            (&format!("{address}serve = \"all\"\n"), ["serve=`all`", "did you mean `serves`?"]),
            (&format!("{address}tls = \"on\"\n"), ["listener.m.tls=`on`", "tls_certificate_file"]),
            (&format!("{address}tls_key_file = \"k\"\n"), ["tls_key_file=`k`", "absolute"]),
            (&format!("{address}tls_key_file = \"/k\"\n"), ["tls_key_file=`/k`", "certificate"]),
            (
                &format!("{address}tls_certificate_file = \"/c\"\n"),
                ["listener.m.tls_certificate_file=`/c`", "tls_key_file"],
            ),
            (
                &format!("{address}tls_client_ca_file = \"/ca\"\n"),
                ["listener.m.tls_client_ca_file=`/ca`", "tls_certificate_file"],
            ),
        ] {
            let line = load(text).unwrap_err();
            assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        }
        let many: String = (0..=LISTENERS_MAX).map(|n| format!("[listener.l{n}]\n")).collect();
        let line = load(&many).unwrap_err();
        assert!(line.contains("at most 64 listeners"), "{line}");
    }
}
