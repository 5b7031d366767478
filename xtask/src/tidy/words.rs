//! Vocabulary and style: words that the glossary does not use, sentences that are too long,
//! documents of code that begin with a relative clause, and paths that lead nowhere.

mod english;
mod glossary;
mod paths;
mod pattern;
mod pieces;

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use glossary::Row;

/// Check of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    /// Words of the glossary's table of words not used.
    Words,
    /// Documents with long sentences.
    Sentences,
    /// Documents of code that begin with a relative clause.
    Beginnings,
    /// Documents with paths that lead nowhere.
    Paths,
}

/// Every rule.
pub(super) const ALL: &[Rule] = &[Rule::Words, Rule::Sentences, Rule::Beginnings, Rule::Paths];

/// The glossary, read.
pub(super) struct Vocabulary {
    root: PathBuf,
    text: String,
    rows: Vec<Row>,
}

impl Vocabulary {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(glossary::FILE))
            .with_context(|| format!("{} lists the words", glossary::FILE))?;
        Ok(Self { root: root.to_owned(), rows: glossary::words_not_used(&text), text })
    }

    /// Complaints about the glossary itself.
    pub(super) fn own_complaints(&self) -> Vec<String> {
        glossary::complaints(&self.text)
    }

    /// Complaints about a file.
    pub(super) fn complaints(&self, file: &str, content: &str, rules: &[Rule]) -> Vec<String> {
        let mut complaints = Vec::new();
        if rules.contains(&Rule::Words) {
            complaints.extend(self.words(file, content));
        }
        if rules.contains(&Rule::Sentences) && file.ends_with(".md") {
            let long = english::long_sentences(content).into_iter();
            complaints.extend(long.map(|(line, words)| {
                format!("{file}:{line}: a sentence of {words} words: make two")
            }));
        }
        if rules.contains(&Rule::Beginnings) && file.ends_with(".rs") {
            let relative = english::relative_beginnings(content).into_iter();
            complaints.extend(relative.map(|(line, word)| {
                format!("{file}:{line}: begins with `{word}`: begin with a noun or a verb")
            }));
        }
        if rules.contains(&Rule::Paths) && file.ends_with(".md") {
            let pieces = pieces::cut(file, content);
            let dead = paths::dead(&self.root, &pieces).into_iter();
            complaints
                .extend(dead.map(|(line, path)| format!("{file}:{line}: leads nowhere: {path}")));
        }
        complaints
    }

    fn words(&self, file: &str, content: &str) -> Vec<String> {
        let is_allowed = |row: &&Row| !row.allowed.iter().any(|path| file.starts_with(path));
        let rows: Vec<&Row> = self.rows.iter().filter(is_allowed).collect();
        let mut complaints = Vec::new();
        // A word is named once a line.
        let mut seen = HashSet::new();
        for piece in pieces::cut(file, content) {
            if file == glossary::FILE && glossary::is_own(content, piece.line) {
                continue;
            }
            for row in &rows {
                for found in row.patterns.iter().filter_map(|pattern| pattern.find(&piece)) {
                    let (line, instead) = (piece.line, &row.instead);
                    if seen.insert((line, found.to_lowercase())) {
                        complaints.push(format!("{file}:{line}: `{found}`: use {instead}"));
                    }
                }
            }
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "## Words not used\n\n| word | use instead | allowed in |\n|---|---|---|\n\
        | `gadget`, gadget | device | `CHANGELOG.md`, `docs/old/` |\n\
        | thingy | the actor | |\n";

    fn vocabulary() -> Vocabulary {
        let rows = glossary::words_not_used(TABLE);
        Vocabulary { root: PathBuf::new(), text: TABLE.to_owned(), rows }
    }

    #[test]
    fn words_not_used_are_named_with_their_place_and_replacement() {
        let found =
            |file: &str, content: &str| vocabulary().complaints(file, content, &[Rule::Words]);
        let code = "/// Kept.\nfn f(gadget: u8) {} // Thingy sees the gadget\n";
        assert_eq!(
            found("a.rs", code),
            ["a.rs:2: `gadget`: use device", "a.rs:2: `Thingy`: use the actor"]
        );
        assert_eq!(found("CHANGELOG.md", "The gadget is gone."), [""; 0]);
        assert_eq!(found("docs/old/a.md", "The gadget is gone."), [""; 0]);
        assert_eq!(found("docs/a.md", "The gadget is gone.").len(), 1);
        assert_eq!(found("docs/glossary.md", &format!("Thingy.\n\n{TABLE}")).len(), 1);
    }

    #[test]
    fn each_rule_is_asked_for_by_itself() {
        let long = format!("{}.", "word ".repeat(60));
        for (file, content, rule) in [
            ("a.md", long.as_str(), Rule::Sentences),
            ("a.rs", "/// What it is.\n", Rule::Beginnings),
            ("a.py", "# thingy\n", Rule::Words),
            ("a.md", "See `crates/nothing`.\n", Rule::Paths),
        ] {
            for asked in ALL {
                let found = vocabulary().complaints(file, content, &[*asked]);
                assert_eq!(found.len(), usize::from(*asked == rule), "{file} {asked:?}");
            }
        }
    }
}
