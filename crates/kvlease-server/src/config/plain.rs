//! TOML values as text, and sections that are named by their user.

/// A TOML value as one would write it in a flag.
pub(super) fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Name and key of a path such as `SECTION.NAME.KEY`; `None` for one of another section. A name may
/// have dots, a key has none.
pub(super) fn name_and_key<'a>(section: &str, path: &'a str) -> Option<(&'a str, &'a str)> {
    path.strip_prefix(section)?.strip_prefix('.')?.rsplit_once('.')
}

/// Writes tables as sections of a file; nothing if there are none.
pub(super) fn print_sections(
    section: &str,
    tables: impl Iterator<Item = (String, toml::Table)>,
) -> String {
    let sections: toml::Table = tables.map(|(name, table)| (name, table.into())).collect();
    if sections.is_empty() {
        return String::new();
    }
    let file = toml::Table::from_iter([(section.to_owned(), sections.into())]);
    format!("\n{file}")
}
