//! A connector's settings, as Python sees them.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use kvlease_client::{
    ConnectorConfig, SocketChoice, TokenSource,
    adapter::{self, AdapterError, Settings, Value},
};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyDict, PyMapping},
};

use crate::adapter::{Environment, table, to_python};

/// The settings of a connector, checked.
///
/// Made of LMCache's configuration by `from_extra_config` and `for_mp`, or of options, which are
/// the keys of LMCache's `extra_config` without `sagemaker_hyperpod_` and `kvlease_`. A setting
/// that cannot be used is a `ValueError` that names key, value and remedy.
#[pyclass(frozen, module = "kvlease")]
pub(crate) struct ConnectorSettings {
    pub(crate) config: ConnectorConfig,
    settings: Settings,
    /// Source, of which another process can make them again.
    source: Source,
}

/// Source of settings.
struct Source {
    rules: &'static str,
    url: String,
    values: Option<Py<PyDict>>,
}

/// Names of the rules for [`remake_settings`].
const OPTIONS: &str = "options";
const EXTRA_CONFIG: &str = "extra_config";
const MULTI_PROCESS: &str = "mp";

/// Function that makes settings of a URL, a table and the environment.
type Rules = fn(
    &str,
    &BTreeMap<String, Value>,
    &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, AdapterError>;

/// Arguments of [`remake_settings`].
type Made = (String, String, Option<Py<PyDict>>);

/// Makes settings again that were pickled.
#[pyfunction]
pub(crate) fn remake_settings(
    py: Python<'_>,
    rules: &str,
    url: &str,
    values: Option<&Bound<'_, PyDict>>,
) -> PyResult<ConnectorSettings> {
    let known = [OPTIONS, EXTRA_CONFIG, MULTI_PROCESS].into_iter().find(|name| *name == rules);
    let unknown = || PyValueError::new_err(format!("no such rules of settings, rules=`{rules}`"));
    let rules = known.ok_or_else(unknown)?;
    ConnectorSettings::of(py, rules, url, values.map(PyDictMethods::as_mapping))
}

impl ConnectorSettings {
    fn of(
        py: Python<'_>,
        name: &'static str,
        url: &str,
        mapping: Option<&Bound<'_, PyMapping>>,
    ) -> PyResult<Self> {
        let rules: Rules = match name {
            EXTRA_CONFIG => adapter::extra_config_settings,
            MULTI_PROCESS => adapter::multi_process_settings,
            _ => adapter::option_settings,
        };
        let kept = |mapping: &Bound<'_, PyMapping>| {
            let values = PyDict::new(py);
            values.update(mapping)?;
            Ok::<_, PyErr>(values.unbind())
        };
        let source =
            Source { rules: name, url: url.to_owned(), values: mapping.map(kept).transpose()? };
        let values = mapping.map(table).transpose()?.unwrap_or_default();
        let environment = Environment::new(py)?;
        let made = rules(url, &values, &|name| environment.variable(name));
        let settings = made.map_err(|error| to_python(&error))?;
        Ok(Self { config: settings.connector_config(), settings, source })
    }
}

#[pymethods]
impl ConnectorSettings {
    #[new]
    #[pyo3(signature = (url, **options))]
    fn new(py: Python<'_>, url: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Self::of(py, OPTIONS, url, options.map(PyDictMethods::as_mapping))
    }

    /// The settings that LMCache's in-process adapter would make of a URL and `extra_config`.
    #[staticmethod]
    #[pyo3(signature = (url, extra_config=None))]
    fn from_extra_config(
        py: Python<'_>,
        url: &str,
        extra_config: Option<&Bound<'_, PyMapping>>,
    ) -> PyResult<Self> {
        Self::of(py, EXTRA_CONFIG, url, extra_config)
    }

    /// The settings that LMCache's MP client would make of its arguments.
    #[staticmethod]
    #[pyo3(signature = (url, **arguments))]
    fn for_mp(py: Python<'_>, url: &str, arguments: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Self::of(py, MULTI_PROCESS, url, arguments.map(PyDictMethods::as_mapping))
    }

    /// The daemon's HTTP URL, with its port.
    #[getter]
    fn url(&self) -> String {
        self.settings.address.to_string()
    }

    #[getter]
    fn bucket(&self) -> &str {
        self.settings.bucket.as_str()
    }

    /// The segment's name; None to read over HTTP.
    #[getter]
    fn shared_memory_name(&self) -> Option<&str> {
        self.settings.shared_memory_name.as_ref().map(|name| name.as_str())
    }

    #[getter]
    fn shared_memory_dir(&self) -> PathBuf {
        self.config.client.shared_memory_dir.clone()
    }

    /// The daemon's fast lane: `auto` where it says that it is, `none`, or the socket's path.
    #[getter]
    fn socket(&self) -> String {
        match &self.settings.socket {
            SocketChoice::Announced => "auto".to_owned(),
            SocketChoice::At(path) => path.display().to_string(),
            SocketChoice::Never => "none".to_owned(),
        }
    }

    /// Time limit of opening the fast lane, in milliseconds.
    #[getter]
    fn lane_open_max_ms(&self) -> u64 {
        milliseconds(self.config.lane_open_max)
    }

    /// Whether the daemon's published index is read before the daemon is asked.
    #[getter]
    fn index(&self) -> bool {
        self.settings.index
    }

    /// Whether a look-up counts an object only where those of all ranks are there.
    #[getter]
    fn groups(&self) -> bool {
        self.settings.groups
    }

    /// The user that runs the daemon; None for this process's own or root.
    #[getter]
    fn daemon_uid(&self) -> Option<u32> {
        self.settings.daemon_uid
    }

    #[getter]
    fn max_concurrent_requests(&self) -> u64 {
        self.settings.max_concurrent_requests
    }

    #[getter]
    fn max_connections(&self) -> u64 {
        self.settings.max_connections
    }

    #[getter]
    fn max_connections_per_host(&self) -> u64 {
        self.settings.max_connections_per_host
    }

    #[getter]
    fn timeout_ms(&self) -> u64 {
        self.settings.timeout_ms
    }

    /// How long the daemon is asked to hold a lease request, in milliseconds.
    #[getter]
    fn lease_wait_ms(&self) -> u64 {
        self.settings.lease_wait_ms
    }

    #[getter]
    fn lease_ttl_s(&self) -> f64 {
        self.settings.lease_ttl_s
    }

    /// How long a lookup's lease is kept for the read that follows, in milliseconds.
    #[getter]
    fn lease_retention_ms(&self) -> u64 {
        milliseconds(self.config.lease_retention)
    }

    #[getter]
    fn put_stream_chunk_bytes(&self) -> u64 {
        self.settings.put_stream_chunk_bytes
    }

    /// The longest object that is read; None for any.
    #[getter]
    fn max_lease_size_bytes(&self) -> Option<u64> {
        self.settings.max_lease_size_bytes
    }

    #[getter]
    fn copy_threads(&self) -> usize {
        self.config.copy_threads.get()
    }

    #[getter]
    fn tls_ca_file(&self) -> Option<PathBuf> {
        self.settings.tls_ca_file.clone()
    }

    #[getter]
    fn tls_certificate_file(&self) -> Option<PathBuf> {
        self.settings.tls_certificate_file.clone()
    }

    #[getter]
    fn tls_key_file(&self) -> Option<PathBuf> {
        self.settings.tls_key_file.clone()
    }

    /// The file of the token. The token itself cannot be asked for.
    #[getter]
    fn token_file(&self) -> Option<PathBuf> {
        match &self.settings.token {
            Some(TokenSource::File(path)) => Some(path.clone()),
            Some(TokenSource::Given(_)) | None => None,
        }
    }

    /// Oddities of the configuration that do no harm, a line each.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.settings.warnings.clone()
    }

    /// For `pickle`: the settings are made again of the same URL and values.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Made)> {
        let remake = py.import("kvlease._kvlease")?.getattr("remake_settings")?;
        let Source { rules, url, values } = &self.source;
        let values = values.as_ref().map(|values| values.clone_ref(py));
        Ok((remake, ((*rules).to_owned(), url.clone(), values)))
    }

    fn __repr__(&self) -> String {
        format!(
            "ConnectorSettings(url={:?}, bucket={:?}, shared_memory_name={}, socket={:?})",
            self.url(),
            self.bucket(),
            self.shared_memory_name().map_or_else(|| "None".to_owned(), |name| format!("{name:?}")),
            self.socket(),
        )
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
