//! Setup of the client: LMCache's configuration as LMCache reads it, or options alone.

use std::{collections::BTreeMap, fs, path::Path};

use kvlease_client::adapter::{self, AdapterError, Settings, Value};
use serde_json::{Map, Value as Json};

use super::{args::DoctorArgs, lmcache_keys, variables::Variables, yaml};
use crate::failure::{Failure, Status};

/// Variable that names LMCache's file, and the beginning of those that override its keys.
const FILE_VARIABLE: &str = "LMCACHE_CONFIG_FILE";
const PREFIX: &str = "LMCACHE_";

/// The scheme that LMCache's own connectors have.
const STOCK_SCHEME: &str = "sagemaker-hyperpod://";

/// The type of LMCache's own client for its server.
const STOCK_TYPE: &str = "sagemaker-hyperpod";

/// Keys of `extra_config` that this command sets by its own options.
const SHARED_MEMORY_NAME: &str = "sagemaker_hyperpod_shared_memory_name";
const SHARED_MEMORY_DIR: &str = "kvlease_shared_memory_dir";
const SOCKET: &str = "kvlease_socket";

/// Address of a daemon unless configured.
const DEFAULT_URL: &str = "http://127.0.0.1:9200";

/// Client that a configuration makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// No configuration says which.
    Unknown,
    /// LMCache's own connector, in the engine's process.
    StockInProcess,
    /// The native connector, in the engine's process.
    NativeInProcess,
    /// A client of LMCache's server.
    Server,
}

/// Client's setup.
pub(super) struct Setup {
    pub(super) kind: Kind,
    /// LMCache's keys; empty for LMCache's server and without a configuration.
    pub(super) keys: Map<String, Json>,
    pub(super) url: String,
    pub(super) settings: Result<Settings, AdapterError>,
}

impl Setup {
    /// Reads the setup. What the command line names comes before what a configuration says.
    pub(super) fn read(
        args: &DoctorArgs,
        url: Option<&str>,
        variables: &Variables,
    ) -> Result<Self, Failure> {
        let mut setup = match &args.l2_adapter {
            Some(text) => of_server(text)?,
            None => of_engine(args, variables)?,
        };
        if let Some(url) = url {
            url.clone_into(&mut setup.url);
        }
        // LMCache's own client for its server leaves variables in the URL as they are.
        let variable = |name: &str| variables.get(name).map(str::to_owned);
        let env = |name: &str| variable(name).filter(|_| setup.expands);
        let rules = match setup.kind {
            Kind::Server => adapter::multi_process_settings,
            _ => adapter::extra_config_settings,
        };
        let settings = rules(&setup.url, &setup.values, &env);
        let Raw { kind, keys, url, .. } = setup;
        Ok(Self { kind, keys, url, settings })
    }

    /// Whether LMCache's own connector is used in the engine's process.
    pub(super) fn is_stock_in_process(&self) -> bool {
        self.kind == Kind::StockInProcess
    }

    /// Whether the client is within the engine's process.
    pub(super) fn is_in_process(&self) -> bool {
        matches!(self.kind, Kind::StockInProcess | Kind::NativeInProcess)
    }
}

/// Setup whose settings were not checked.
struct Raw {
    kind: Kind,
    keys: Map<String, Json>,
    url: String,
    values: BTreeMap<String, Value>,
    /// Whether variables in the URL are expanded.
    expands: bool,
}

/// Setup of a client of LMCache's server, from its `--l2-adapter`.
fn of_server(text: &str) -> Result<Raw, Failure> {
    let unusable = |error: &dyn std::fmt::Display| {
        Failure::new(Status::Usage, format!("--l2-adapter is no JSON object: {error}"))
    };
    let mut adapter: Map<String, Json> =
        serde_json::from_str(text).map_err(|error| unusable(&error))?;
    let kind = adapter.remove("type");
    let expands = kind.as_ref().and_then(Json::as_str) != Some(STOCK_TYPE);
    if let Some(Json::Object(parameters)) = adapter.remove("adapter_params") {
        adapter = parameters;
    }
    let url = match adapter.remove("url") {
        Some(Json::String(url)) => url,
        _ => DEFAULT_URL.to_owned(),
    };
    let values = values(&adapter);
    Ok(Raw { kind: Kind::Server, keys: Map::new(), url, values, expands })
}

/// Setup of a client in the engine's process, from LMCache's file and variables.
fn of_engine(args: &DoctorArgs, variables: &Variables) -> Result<Raw, Failure> {
    let named = variables.get(FILE_VARIABLE).map(Path::new);
    let mut keys = match args.config_file.as_deref().or(named) {
        Some(path) => read_yaml(path)?,
        None => Map::new(),
    };
    for (name, value) in variables.with_prefix(PREFIX) {
        let key = name[PREFIX.len()..].to_ascii_lowercase();
        if lmcache_keys::is_known(&key) {
            keys.insert(key, of_variable(value));
        }
    }
    let mut extra = match keys.get("extra_config") {
        Some(Json::Object(extra)) => extra.clone(),
        _ => Map::new(),
    };
    let remote = keys.get("remote_url").and_then(Json::as_str);
    let plugin = extra.iter().find_map(|(key, value)| {
        let is_url = key.starts_with("remote_storage_plugin.") && key.ends_with(".url");
        value.as_str().filter(|_| is_url)
    });
    let (kind, url) = match (remote, plugin) {
        (Some(url), _) if url.starts_with(STOCK_SCHEME) => (Kind::StockInProcess, url),
        (Some(url), _) | (None, Some(url)) => (Kind::NativeInProcess, url),
        (None, None) => (Kind::Unknown, DEFAULT_URL),
    };
    let url = url.to_owned();
    let path = |path: &Path| Json::String(path.display().to_string());
    let options = [
        (SHARED_MEMORY_NAME, args.shared_memory_name.clone().map(Json::String)),
        (SHARED_MEMORY_DIR, args.shared_memory_dir.as_deref().map(path)),
        (SOCKET, args.socket.clone().map(Json::String)),
    ];
    for (key, value) in options {
        if let Some(value) = value {
            extra.insert(key.to_owned(), value);
        }
    }
    Ok(Raw { kind, keys, url, values: values(&extra), expands: true })
}

fn read_yaml(path: &Path) -> Result<Map<String, Json>, Failure> {
    let text = fs::read_to_string(path).map_err(Failure::file("read the file", path))?;
    yaml::mapping(&text).map_err(|error| {
        let path = path.display();
        Failure::new(Status::Usage, format!("the file is no YAML mapping: {error}, path=`{path}`"))
    })
}

/// The value of a variable: JSON where it is some, else a text.
fn of_variable(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()))
}

fn values(table: &Map<String, Json>) -> BTreeMap<String, Value> {
    table.iter().map(|(key, value)| (key.clone(), of_json(value))).collect()
}

fn of_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::String(text) => Value::Str(text.clone()),
        Json::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(float)) => Value::Float(float),
            (None, None) => Value::Other { repr: number.to_string() },
        },
        Json::Array(_) | Json::Object(_) => Value::Other { repr: value.to_string() },
    }
}
