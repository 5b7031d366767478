//! Calls on names.

use redis::Cmd;

use super::{fetch::Fetch, set::Set};

/// Purpose of a call. Look-ups do not queue behind large values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    LookUp,
    Transfer,
}

/// Call on one name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call<'a> {
    Query(Purpose, &'a Cmd),
    Store(&'a Set),
    Fetch(Purpose, &'a Fetch),
}
