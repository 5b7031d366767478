//! A connector's settings, as Python sees them.

use std::{collections::BTreeMap, path::PathBuf};

use kvlease_client::{
    ConnectorConfig, SocketChoice,
    adapter::{self, AdapterError, Settings, Value},
};
use pyo3::{
    prelude::*,
    types::{PyDict, PyMapping},
};

use crate::adapter::{Environment, table, to_python};

/// The settings of a connector, checked.
///
/// Made of LMCache's configuration by `from_extra_config` and `for_mp`, or of options, which are
/// the keys of LMCache's `extra_config` without `sagemaker_hyperpod_` and `kvlease_`. A setting
/// that cannot be used is a `ValueError` that names key, value and remedy.
#[pyclass(frozen)]
pub(crate) struct ConnectorSettings {
    pub(crate) config: ConnectorConfig,
    settings: Settings,
}

/// Function that makes settings of a URL, a table and the environment.
type Rules = fn(
    &str,
    &BTreeMap<String, Value>,
    &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, AdapterError>;

impl ConnectorSettings {
    fn of(
        py: Python<'_>,
        rules: Rules,
        url: &str,
        mapping: Option<&Bound<'_, PyMapping>>,
    ) -> PyResult<Self> {
        let values = mapping.map(table).transpose()?.unwrap_or_default();
        let environment = Environment::new(py)?;
        let made = rules(url, &values, &|name| environment.variable(name));
        let settings = made.map_err(|error| to_python(&error))?;
        Ok(Self { config: settings.connector_config(), settings })
    }
}

#[pymethods]
impl ConnectorSettings {
    #[new]
    #[pyo3(signature = (url, **options))]
    fn new(py: Python<'_>, url: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Self::of(py, adapter::option_settings, url, options.map(PyDictMethods::as_mapping))
    }

    /// The settings that LMCache's in-process adapter would make of a URL and `extra_config`.
    #[staticmethod]
    #[pyo3(signature = (url, extra_config=None))]
    fn from_extra_config(
        py: Python<'_>,
        url: &str,
        extra_config: Option<&Bound<'_, PyMapping>>,
    ) -> PyResult<Self> {
        Self::of(py, adapter::extra_config_settings, url, extra_config)
    }

    /// The settings that LMCache's MP client would make of its arguments.
    #[staticmethod]
    #[pyo3(signature = (url, **arguments))]
    fn for_mp(py: Python<'_>, url: &str, arguments: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Self::of(py, adapter::multi_process_settings, url, arguments.map(PyDictMethods::as_mapping))
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
        u64::try_from(self.config.lease_retention.as_millis()).unwrap_or(u64::MAX)
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

    /// Oddities of the configuration that do no harm, a line each.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.settings.warnings.clone()
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
