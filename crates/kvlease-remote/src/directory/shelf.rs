//! The calls that the directory makes to a store.

use kvlease_tier::{Answer, Object, Source, Stored, Tier};

use crate::layout::Layout;

/// Store with a place for the entries of the directory. The names of entries are `NODE/NUMBERS`.
pub(crate) trait Shelf: Tier + 'static {
    /// The names of the store.
    fn layout(&self) -> &Layout;

    /// Stores an object without asking whether it is there. The bytes of a name may be replaced by equal
    /// ones.
    fn write<'a>(&'a self, object: &'a Object, source: Box<dyn Source>) -> Answer<'a, Stored>;

    /// The names of all entries.
    fn entries(&self) -> Answer<'_, Vec<String>>;

    /// The bytes of an entry; `None` if it is gone.
    fn read_entry<'a>(&'a self, entry: &'a str) -> Answer<'a, Option<Vec<u8>>>;

    /// Writes an entry. Once this has answered, [`entries`](Self::entries) has it.
    fn write_entry<'a>(&'a self, entry: &'a str, bytes: Vec<u8>) -> Answer<'a, ()>;

    /// Removes an entry.
    fn remove_entry<'a>(&'a self, entry: &'a str) -> Answer<'a, ()>;
}
