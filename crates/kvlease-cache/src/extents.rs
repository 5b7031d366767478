//! Where an object is.

use std::{fmt, ops::Deref, sync::Arc};

use kvlease_types::Extent;

/// The extents of an object, in the order of its bytes. A slice of them in every respect.
///
/// Nearly every object has one extent: it takes no memory of its own and is copied without
/// counting references.
#[derive(Clone)]
pub struct Extents(Places);

#[derive(Clone)]
enum Places {
    One(Option<Extent>),
    Several(Arc<[Extent]>),
}

impl Default for Extents {
    fn default() -> Self {
        Self(Places::One(None))
    }
}

impl Deref for Extents {
    type Target = [Extent];

    fn deref(&self) -> &[Extent] {
        match &self.0 {
            Places::One(extent) => extent.as_slice(),
            Places::Several(extents) => extents,
        }
    }
}

impl From<Vec<Extent>> for Extents {
    fn from(extents: Vec<Extent>) -> Self {
        match extents[..] {
            [] => Self::default(),
            [extent] => Self(Places::One(Some(extent))),
            _ => Self(Places::Several(extents.into())),
        }
    }
}

impl PartialEq for Extents {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Extents {}

impl fmt::Debug for Extents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
