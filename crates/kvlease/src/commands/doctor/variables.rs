//! Variables of the environment that a client here has.

use std::{collections::BTreeMap, env};

/// Variables of the environment, as text.
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self(env::vars_os().map(|(name, value)| (text(name), text(value))).collect())
    }

    /// The value of a variable; `None` if it is unset.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Variables whose names begin with this.
    pub(super) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(move |(name, _)| name.starts_with(prefix))
    }

    /// All of them, for what reads an environment as a whole.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        self.0.clone().into_iter()
    }
}
