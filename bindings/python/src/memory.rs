//! Memory that many calls use regions of: objects are gathered from it and scattered into it.

use kvlease_client::{Destination, ExternalBytes, ExternalMemory, Key, PutBody, RegionError};
use kvlease_sys::KeepAlive;
use pyo3::{exceptions::PyValueError, prelude::*, types::PyAny};

use crate::arguments;

/// Memory of writable buffers, which it keeps, for calls that use regions of it.
#[pyclass(frozen, module = "kvlease")]
pub(crate) struct Memory(ExternalMemory);

#[pymethods]
impl Memory {
    #[new]
    fn new(buffers: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        let blocks = buffers.iter().map(|object| arguments::buffer(object, "memory"));
        Ok(Self(ExternalMemory::new(blocks.collect::<PyResult<_>>()?)))
    }
}

/// Keys, each with what it is used with, and the keep-alive of the regions.
type Kept<T> = (Vec<(Key, T)>, Option<KeepAlive>);

/// Regions of a call, as many for each key.
pub(crate) struct Regions {
    places: Vec<(usize, usize)>,
    of_each: usize,
}

impl Regions {
    pub(crate) fn new(keys: usize, addresses: &[usize], lengths: &[usize]) -> PyResult<Self> {
        if addresses.len() != lengths.len() || !addresses.len().is_multiple_of(keys.max(1)) {
            return Err(PyValueError::new_err(format!(
                "each key must have as many regions: pass one address and one length for each, \
                 keys=`{keys}` addresses=`{}` lengths=`{}`",
                addresses.len(),
                lengths.len()
            )));
        }
        let places = addresses.iter().copied().zip(lengths.iter().copied()).collect();
        Ok(Self { places, of_each: addresses.len() / keys.max(1) })
    }

    /// The objects that the regions have.
    pub(crate) fn gather(&self, keys: Vec<Key>, memory: &Memory) -> PyResult<Kept<PutBody>> {
        let parts = memory.0.bytes(&self.places).map_err(to_python)?;
        let owner = parts.first().map(ExternalBytes::keep_alive);
        let mut parts = parts.into_iter();
        let mut gather = |key| (key, PutBody::gathered(parts.by_ref().take(self.of_each)));
        Ok((keys.into_iter().map(&mut gather).collect(), owner))
    }

    /// The regions that objects are read into.
    pub(crate) fn scatter(&self, keys: Vec<Key>, memory: &Memory) -> PyResult<Kept<Destination>> {
        let parts = memory.0.buffers(&self.places).map_err(to_python)?;
        let owner = parts.first().map(kvlease_client::ExternalBuffer::keep_alive);
        let mut parts = parts.into_iter();
        let mut scatter = |key| {
            let of_key: Vec<_> = parts.by_ref().take(self.of_each).collect();
            (key, Destination::from(of_key))
        };
        Ok((keys.into_iter().map(&mut scatter).collect(), owner))
    }
}

fn to_python(error: RegionError) -> PyErr {
    PyValueError::new_err(error.to_string())
}
