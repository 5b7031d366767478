//! The glossary: terms with one meaning each, and words not used.

use std::collections::HashSet;

use super::pattern::Pattern;

/// File of the glossary.
pub(super) const FILE: &str = "docs/glossary.md";

/// Heading of the section whose table lists words not used.
const HEADING: &str = "## Words not used";

/// Heads of the tables of words not used and of terms.
const HEADS: [&str; 2] = ["word", "term"];

/// One row of the table of words not used.
pub(super) struct Row {
    pub(super) patterns: Vec<Pattern>,
    pub(super) instead: String,
    /// Beginnings of paths where the words may stand.
    pub(super) allowed: Vec<String>,
}

/// Rows of the table of words not used.
pub(super) fn words_not_used(glossary: &str) -> Vec<Row> {
    let section = glossary.split_once(HEADING).map_or("", |(_, section)| section);
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = rows(section).filter_map(|cells| match cells.as_slice() {
        [words, instead, allowed] => Some(Row {
            patterns: words.split(", ").map(Pattern::parse).collect(),
            instead: (*instead).to_owned(),
            allowed: allowed
                .split(", ")
                .map(|path| path.trim_matches('`').to_owned())
                .filter(|path| !path.is_empty())
                .collect(),
        }),
        _ => None,
    });
    rows.collect()
}

/// Terms that have more than one row, or are words not used as well.
pub(super) fn complaints(glossary: &str) -> Vec<String> {
    let terms = glossary.split(HEADING).next().unwrap_or_default();
    let terms: Vec<&str> = rows(terms)
        .filter_map(|cells| cells.first().copied())
        .flat_map(|cell| cell.split(", "))
        .collect();
    let refused = words_not_used(glossary);
    let mut seen = HashSet::new();
    let mut complaints = Vec::new();
    for term in terms {
        if !seen.insert(term) {
            complaints.push(format!("{FILE}: `{term}` has two rows: give it one meaning"));
        }
        let is_refused = |row: &Row| row.patterns.contains(&Pattern::parse(term));
        if refused.iter().any(is_refused) {
            complaints.push(format!("{FILE}: `{term}` is a term and a word not used: decide"));
        }
    }
    complaints
}

/// Cells of all rows of tables, without heads.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    let rows = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter(|cells| !HEADS.contains(&cells[0]) && !cells[0].starts_with("--"))
}

/// True for lines of the table of words not used, which names what nothing else may.
pub(super) fn is_own(glossary: &str, line: usize) -> bool {
    let heading = glossary.lines().position(|line| line == HEADING);
    heading.is_some_and(|heading| line > heading)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "| term | meaning |\n|---|---|\n| arena | a |\n";
    const REFUSED: &str = "\n## Words not used\n\n| word | use instead | allowed in |\n|---|---|---|\n\
        | `gadget`, gadget | device | `CHANGELOG.md` |\n| thingy | the actor | |\n";

    #[test]
    fn rows_have_words_a_replacement_and_places() {
        let rows = words_not_used(&format!("{HEAD}{REFUSED}"));
        let [gadget, thingy] = rows.as_slice() else { panic!("two rows") };
        assert_eq!(gadget.patterns.len(), 2);
        assert_eq!(
            (gadget.instead.as_str(), gadget.allowed[0].as_str()),
            ("device", "CHANGELOG.md")
        );
        assert!(thingy.allowed.is_empty());
        assert!(words_not_used(HEAD).is_empty());
    }

    #[test]
    fn a_term_has_one_row_and_is_used() {
        assert!(complaints(&format!("{HEAD}{REFUSED}")).is_empty());
        assert_eq!(complaints(&format!("{HEAD}| unit, arena | b |\n{REFUSED}")).len(), 1);
        assert_eq!(complaints(&format!("{HEAD}| gadget | b |\n{REFUSED}")).len(), 1);
    }
}
