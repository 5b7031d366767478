//! Stream of what clients ask for and store, of which a sample can be watched.
//!
//! A sample is a part of the objects, chosen by the hash of the name, with all of their references:
//! Waldspurger, Park, Garthwaite and Ahmad, "Efficient MRC construction with SHARDS", FAST 2015. A
//! reference to another object costs the comparison of its hash.

/// References that wait to be taken, at most: those beyond are lost, and counted.
const REFERENCES_MAX: usize = 8_192;

/// Bytes of the two lists of references: one fills while the other one is worked through.
pub(crate) const REFERENCES_MEMORY: usize = 2 * REFERENCES_MAX * size_of::<Reference>();

/// One reference to an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    /// Identifies the object by its name, also when it has left.
    pub(crate) hash: u64,
    /// Its size in units; 0 for one that is not there.
    pub(crate) units: u32,
    pub(crate) kind: ReferenceKind,
}

/// Outcome of a reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReferenceKind {
    /// The object was leased, or read without a lease.
    Found,
    /// A lease was asked for, and the object was not there.
    Missed,
    /// The object was stored.
    Stored,
    /// The object was to be stored, and was there.
    Offered,
    /// The object was removed by request, or since it was corrupt. This is no use of it.
    Removed,
}

/// References to the objects of a sample, as a catalog hands them out.
#[derive(Default, Debug)]
pub struct References {
    pub(crate) list: Vec<Reference>,
    /// References that found their object, to all objects.
    pub(crate) found: u64,
    /// References to objects of the sample that are not in the list.
    pub(crate) lost: u64,
}

/// References that were made and not taken yet.
#[derive(Default, Debug)]
pub(crate) struct ReferenceLog {
    /// The largest hash of a name in the sample; `None` while there is no live curve.
    hash_max: Option<u64>,
    noted: References,
}

impl ReferenceLog {
    /// Watches the objects whose hash is at most this.
    pub(crate) fn watch(&mut self, hash_max: u64) {
        self.hash_max = Some(hash_max);
        self.noted.list.reserve_exact(REFERENCES_MAX - self.noted.list.len());
    }

    pub(crate) fn note(&mut self, hash: u64, units: u32, kind: ReferenceKind) {
        let Some(hash_max) = self.hash_max else { return };
        self.noted.found += u64::from(kind == ReferenceKind::Found);
        if hash <= hash_max {
            self.push(Reference { hash, units, kind });
        }
    }

    fn push(&mut self, reference: Reference) {
        if self.noted.list.len() < REFERENCES_MAX {
            self.noted.list.push(reference);
        } else {
            self.noted.lost += 1;
        }
    }

    /// Exchanges what was noted for a batch that was worked through.
    pub(crate) fn take(&mut self, batch: &mut References) {
        batch.list.clear();
        (batch.found, batch.lost) = (0, 0);
        batch.list.reserve_exact(REFERENCES_MAX);
        std::mem::swap(&mut self.noted, batch);
    }
}
