//! Arguments: keys and buffers, checked before anything is started.

use kvlease_client::{ExternalBuffer, ExternalBytes, Key};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    pybacked::PyBackedStr,
    types::PyAny,
};

/// A name of an object.
pub(crate) fn key(text: &str) -> PyResult<Key> {
    Key::new(text).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Names of objects.
pub(crate) fn keys(texts: &[PyBackedStr]) -> PyResult<Vec<Key>> {
    texts.iter().map(|text| key(text)).collect()
}

/// External memory of an object that has the buffer protocol, to read from.
pub(crate) fn bytes(object: &Bound<'_, PyAny>, name: &str) -> PyResult<ExternalBytes> {
    ExternalBytes::of_python(object).map_err(|error| explain(object, name, error))
}

/// External memory of an object that has the buffer protocol, to write into.
pub(crate) fn buffer(object: &Bound<'_, PyAny>, name: &str) -> PyResult<ExternalBuffer> {
    ExternalBuffer::of_python(object).map_err(|error| explain(object, name, error))
}

/// Buffers to write into, one for each key.
pub(crate) fn buffers(keys: &[Key], objects: &[Bound<'_, PyAny>]) -> PyResult<Vec<ExternalBuffer>> {
    same_number(keys.len(), objects.len())?;
    let names = keys.iter().map(Key::as_str).zip(objects);
    let buffers: Vec<_> =
        names.map(|(name, object)| buffer(object, name)).collect::<PyResult<_>>()?;
    distinct(keys.iter().map(Key::as_str).zip(&buffers))?;
    Ok(buffers)
}

/// Checks that no two buffers share memory: their objects would be mixed.
pub(crate) fn distinct<'a>(
    buffers: impl Iterator<Item = (&'a str, &'a ExternalBuffer)>,
) -> PyResult<()> {
    let places = buffers.map(|(name, buffer)| (buffer.as_ref().as_ptr_range(), name));
    let mut places: Vec<_> = places.filter(|(place, _)| !place.is_empty()).collect();
    places.sort_unstable_by_key(|(place, _)| place.start);
    match places.windows(2).find(|pair| pair[1].0.start < pair[0].0.end) {
        None => Ok(()),
        Some(pair) => Err(PyValueError::new_err(format!(
            "two buffers of the batch share memory: pass one of its own for each key, \
             key=`{}` key=`{}`",
            pair[0].1, pair[1].1
        ))),
    }
}

/// Bytes to read, one for each key.
pub(crate) fn payloads(keys: &[Key], objects: &[Bound<'_, PyAny>]) -> PyResult<Vec<ExternalBytes>> {
    same_number(keys.len(), objects.len())?;
    keys.iter().zip(objects).map(|(key, object)| bytes(object, key.as_str())).collect()
}

/// Checks that there is one buffer for each key.
pub(crate) fn same_number(keys: usize, buffers: usize) -> PyResult<()> {
    if keys == buffers {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "there must be one buffer for each key: pass lists of one length, \
         keys=`{keys}` buffers=`{buffers}`"
    )))
}

/// Says which buffer cannot be used, why, and what to pass instead.
fn explain(object: &Bound<'_, PyAny>, key: &str, error: PyErr) -> PyErr {
    let py = object.py();
    let kind = object.get_type();
    let kind = kind.name().map_or_else(|_| String::new(), |name| name.to_string());
    let message = format!(
        "the buffer cannot be used: pass a contiguous one, such as a bytearray \
         (writable, to read into it), {}, type=`{kind}` key=`{key}`",
        error.value(py)
    );
    if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(message)
    } else {
        pyo3::exceptions::PyBufferError::new_err(message)
    }
}
