//! The rules of LMCache's adapters, for Python: values in, settings or a `ValueError` out.

use std::collections::BTreeMap;

use kvlease_client::adapter::{self, AdapterError, Value};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyBool, PyFloat, PyInt, PyMapping, PyString},
};

/// The daemon's HTTP URL: `$NAME` and `${NAME}` are replaced from the environment, a leading
/// `sagemaker-hyperpod://` or `kvlease://` is taken off, and unless an `http://` or `https://`
/// stands there, the one that `use_https` says is put in front.
#[pyfunction]
pub(crate) fn parse_url(py: Python<'_>, url: &str, use_https: bool) -> PyResult<String> {
    let environment = Environment::new(py)?;
    adapter::parse_url(url, use_https, &|name| environment.variable(name))
        .map_err(|error| to_python(&error))
}

/// The whole number above 0 under a key, or the default: anything that `int()` reads.
#[pyfunction]
pub(crate) fn get_positive_int(
    config_dict: &Bound<'_, PyAny>,
    key: &str,
    default: &Bound<'_, PyAny>,
) -> PyResult<u64> {
    let config = one_entry(config_dict, key, default)?;
    adapter::get_positive_int(&config, key, 0).map_err(|error| to_python(&error))
}

/// The number above 0 under a key, or the default: anything finite that `float()` reads.
#[pyfunction]
pub(crate) fn get_positive_float(
    config_dict: &Bound<'_, PyAny>,
    key: &str,
    default: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    let config = one_entry(config_dict, key, default)?;
    adapter::get_positive_float(&config, key, 0.0).map_err(|error| to_python(&error))
}

fn one_entry(
    config: &Bound<'_, PyAny>,
    key: &str,
    default: &Bound<'_, PyAny>,
) -> PyResult<BTreeMap<String, Value>> {
    let value = config.call_method1("get", (key, default))?;
    Ok(BTreeMap::from([(key.to_owned(), value_of(&value))]))
}

/// The entries of a mapping whose keys are texts.
pub(crate) fn table(mapping: &Bound<'_, PyMapping>) -> PyResult<BTreeMap<String, Value>> {
    let mut table = BTreeMap::new();
    for entry in mapping.items()?.iter() {
        let (key, value) = entry.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        if let Ok(key) = key.extract::<String>() {
            table.insert(key, value_of(&value));
        }
    }
    Ok(table)
}

fn value_of(object: &Bound<'_, PyAny>) -> Value {
    let value = if object.is_none() {
        Some(Value::Null)
    } else if let Ok(bool) = object.cast::<PyBool>() {
        Some(Value::Bool(bool.is_true()))
    } else if object.is_instance_of::<PyInt>() {
        object.extract().ok().map(Value::Int)
    } else if let Ok(float) = object.cast::<PyFloat>() {
        Some(Value::Float(float.value()))
    } else if object.is_instance_of::<PyString>() {
        object.extract().ok().map(Value::Str)
    } else {
        None
    };
    value.unwrap_or_else(|| Value::Other { repr: shown(object) })
}

/// How Python shows an object; its type if it cannot be shown.
fn shown(object: &Bound<'_, PyAny>) -> String {
    let repr = object.repr().and_then(|repr| repr.extract());
    let name = || object.get_type().name().map_or_else(|_| String::new(), |name| name.to_string());
    repr.unwrap_or_else(|_| format!("<{}>", name()))
}

/// `os.environ`, which a program may have changed.
pub(crate) struct Environment<'py>(Bound<'py, PyAny>);

impl<'py> Environment<'py> {
    pub(crate) fn new(py: Python<'py>) -> PyResult<Self> {
        Ok(Self(py.import("os")?.getattr("environ")?))
    }

    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.0.call_method1("get", (name,)).ok()?.extract().ok()
    }
}

/// A configuration that is wrong is a `ValueError`.
pub(crate) fn to_python(error: &AdapterError) -> PyErr {
    PyValueError::new_err(error.to_string())
}
