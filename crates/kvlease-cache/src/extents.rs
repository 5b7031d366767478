//! Extents of an object.

use std::{fmt, ops::Deref, sync::Arc};

use kvlease_types::Extent;

/// The extents of an object, in the order of its bytes. A slice of them in every respect.
///
/// Nearly every object has one extent: it takes no memory of its own and is copied without
/// counting references.
#[derive(Clone)]
pub struct Extents(Storage);

#[derive(Clone)]
enum Storage {
    One(Option<Extent>),
    Several(Arc<[Extent]>),
}

impl Default for Extents {
    fn default() -> Self {
        Self(Storage::One(None))
    }
}

impl Deref for Extents {
    type Target = [Extent];

    fn deref(&self) -> &[Extent] {
        match &self.0 {
            Storage::One(extent) => extent.as_slice(),
            Storage::Several(extents) => extents,
        }
    }
}

impl From<Extent> for Extents {
    fn from(extent: Extent) -> Self {
        Self(Storage::One(Some(extent)))
    }
}

impl From<Vec<Extent>> for Extents {
    fn from(extents: Vec<Extent>) -> Self {
        match extents[..] {
            [] => Self::default(),
            [extent] => extent.into(),
            _ => Self(Storage::Several(extents.into())),
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
