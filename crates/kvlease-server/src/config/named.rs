//! Sections with names of their own, such as `[bucket."NAME"]`.

use super::{error::ConfigError, nearest::nearest, plain::plain};

/// Kind of such sections.
pub(super) struct Named {
    /// The section that they are in.
    pub(super) section: &'static str,
    /// Their keys.
    pub(super) keys: &'static [&'static str],
    /// Those of the keys that have lists as values.
    pub(super) lists: &'static [&'static str],
    /// Beginning of keys whose values no error shows.
    pub(super) secrets: Option<&'static str>,
}

/// One thing that such a section says.
pub(super) enum Said<'a> {
    /// It is there.
    Section,
    /// A key has this value, or its list has it among others.
    Value(&'a str, &'a str),
}

/// Whether a name of such a section is of at most this many letters, digits, `-`, `.` and `_`.
pub(super) fn is_name(name: &str, len_max: usize) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=len_max).contains(&name.len()) && name.bytes().all(is_plain)
}

impl Named {
    /// Name and key of a path; `None` for one of another section. A name may have dots, a key has none.
    pub(super) fn split<'a>(&self, path: &'a str) -> Option<(&'a str, &'a str)> {
        path.strip_prefix(self.section)?.strip_prefix('.')?.rsplit_once('.')
    }

    /// Remedy for a key that there is not.
    pub(super) fn remedy_for_key(&self, key: &str) -> String {
        match nearest(key, self.keys.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("use the keys {}", self.keys.join(", ")),
        }
    }

    /// Hands over what the sections of a file say, each with its name.
    pub(super) fn apply(
        &self,
        section: toml::Table,
        origin: &str,
        mut say: impl FnMut(&str, Said<'_>) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        for (name, keys) in section {
            let path = format!("{}.{name}", self.section);
            let toml::Value::Table(keys) = keys else {
                let remedy = format!("write a section `[{}.\"NAME\"]` for each one", self.section);
                let shown = self.shown(&name, plain(&keys));
                return Err(ConfigError::value(&path, &shown, &remedy, origin));
            };
            // One without keys is there as well.
            say(&name, Said::Section)?;
            for (key, value) in keys {
                match value {
                    toml::Value::Array(values) if self.lists.contains(&key.as_str()) => {
                        for value in values {
                            say(&name, Said::Value(&key, &plain(&value)))?;
                        }
                    }
                    toml::Value::Table(_) => {
                        let remedy = format!(
                            "quote a name that has dots, `[{}.\"{name}.{key}\"]`, and use the keys {}",
                            self.section,
                            self.keys.join(", ")
                        );
                        return Err(ConfigError::value(&path, &key, &remedy, origin));
                    }
                    value => say(&name, Said::Value(&key, &plain(&value)))?,
                }
            }
        }
        Ok(())
    }

    /// The value of a key as errors show it.
    pub(super) fn shown(&self, key: &str, value: String) -> String {
        let is_secret = self.secrets.is_some_and(|secrets| key.starts_with(secrets));
        if is_secret { format!("not shown, {} bytes", value.len()) } else { value }
    }

    /// Such sections as a file; nothing if there are none.
    pub(super) fn print(&self, sections: toml::Table) -> String {
        if sections.is_empty() {
            return String::new();
        }
        let file = toml::Table::from_iter([(self.section.to_owned(), sections.into())]);
        format!("\n{file}")
    }
}
