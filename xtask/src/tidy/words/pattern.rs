//! Words that are looked for.

use super::pieces::{Kind, Piece};

/// One word of the glossary's table of words not used.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Pattern {
    /// Whole words of prose, in small letters: `such lots`.
    Words(String),
    /// Parts of an identifier that follow each other: `do_it` is in `do_it_of` and `DoIt`. Parts
    /// with a capital are those of a type alone.
    Parts { parts: Vec<String>, is_open: bool },
}

impl Pattern {
    /// Reads a cell's word: in backquotes it is of identifiers, without them of prose. A `*` at the
    /// end stands for any ending, a `_` at the end for one part more.
    pub(super) fn parse(text: &str) -> Self {
        let Some(name) = text.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else {
            return Self::Words(text.to_lowercase());
        };
        let parts = name.trim_end_matches('_').split('_').flat_map(words_of);
        Self::Parts { parts: parts.map(str::to_owned).collect(), is_open: name.ends_with('_') }
    }

    /// The first place in a piece where it is, as it stands there.
    pub(super) fn find<'a>(&self, piece: &'a Piece) -> Option<&'a str> {
        match (self, piece.kind) {
            (Self::Words(words), Kind::Prose) => find_words(words, &piece.text),
            (Self::Parts { parts, is_open }, Kind::Code | Kind::Quoted) => {
                identifiers(&piece.text, piece.kind).find(|identifier| {
                    let there: Vec<&str> = identifier.split('_').flat_map(words_of).collect();
                    let more = usize::from(*is_open);
                    there.windows(parts.len() + more).any(|window| {
                        parts.iter().zip(window).all(|(part, word)| is_part(part, word))
                    })
                })
            }
            _ => None,
        }
    }
}

/// Identifiers of a text. In quoted code, a word behind a point or a slash is part of a path.
fn identifiers(text: &str, kind: Kind) -> impl Iterator<Item = &str> {
    let is_inside = |c: char| c.is_alphanumeric() || c == '_';
    text.split(move |c: char| !is_inside(c)).filter(move |identifier| {
        let start = identifier.as_ptr().addr() - text.as_ptr().addr();
        let is_path = kind == Kind::Quoted && text[..start].ends_with(['.', '/']);
        !identifier.is_empty() && !is_path
    })
}

/// Words of one part of an identifier: `LeaseFence` has two.
fn words_of(part: &str) -> Vec<&str> {
    let mut starts = vec![0];
    let characters: Vec<(usize, char)> = part.char_indices().collect();
    for pair in characters.windows(2) {
        if !pair[0].1.is_uppercase() && pair[1].1.is_uppercase() {
            starts.push(pair[1].0);
        }
    }
    starts.push(part.len());
    starts
        .windows(2)
        .map(|range| &part[range[0]..range[1]])
        .filter(|word| !word.is_empty())
        .collect()
}

fn is_part(part: &str, word: &str) -> bool {
    let is_type = part.starts_with(char::is_uppercase);
    let lower = if is_type { word.to_owned() } else { word.to_lowercase() };
    match part.strip_suffix('*') {
        Some(beginning) => lower.starts_with(beginning),
        None => lower == part,
    }
}

fn find_words<'a>(words: &str, text: &'a str) -> Option<&'a str> {
    let (words, is_open) = match words.strip_suffix('*') {
        Some(beginning) => (beginning, true),
        None => (words, false),
    };
    let is_inside = |c: char| c.is_alphanumeric() || c == '_';
    let lower = text.to_lowercase();
    // Where small letters have another length, places would not be those of the text.
    let text = if lower.len() == text.len() { text } else { return None };
    lower.match_indices(words).find_map(|(start, _)| {
        let end = start + words.len();
        let before = text[..start].chars().next_back();
        // Parts of names, of paths and of the names of files are no words.
        let is_begun = before.is_some_and(|c| is_inside(c) || matches!(c, '.' | '/' | '-'));
        let is_longer = !is_open && text[end..].starts_with(is_inside);
        (!is_begun && !is_longer).then(|| &text[start..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(pattern: &str, kind: Kind, text: &str) -> bool {
        let piece = Piece { line: 1, kind, text: text.to_owned() };
        Pattern::parse(pattern).find(&piece).is_some()
    }

    #[test]
    fn parts_of_identifiers_are_found_in_code_alone() {
        for (pattern, text, expected) in [
            ("`gadget`", "self.gadget.note()", true),
            ("`gadget`", "GADGET_LEN", true),
            ("`gadget`", "GadgetFile", true),
            ("`gadget`", "gadgetry", false),
            ("`Gizmos`", "NamedGizmos", true),
            ("`Gizmos`", "gizmos()", false),
            ("`do_it`", "fn do_it_of()", true),
            ("`do_it`", "DoIt", true),
            ("`do_it`", "do it = 1", false),
            ("`force_`", "force_plain()", true),
            ("`force_`", "force", false),
            ("`tinker*`", "is_tinkered", true),
            ("`TooBlue`", "Error::TooBlue", true),
        ] {
            assert_eq!(is_found(pattern, Kind::Code, text), expected, "{pattern} in {text}");
        }
        assert!(!is_found("`gadget`", Kind::Prose, "the gadget"));
        assert!(is_found("`gadget`", Kind::Quoted, "Arena::gadget"));
        assert!(!is_found("`gadget`", Kind::Quoted, "/dev/shm/.kvlease.NAME/gadget"));
        assert!(!is_found("`gadget`", Kind::Quoted, "kvlease.gadget"));
    }

    #[test]
    fn whole_words_are_found_in_prose_alone() {
        for (pattern, text, expected) in [
            ("thingy", "Thingy asks", true),
            ("salve", "the salve.", true),
            ("salve", "is presalve, salves", false),
            ("salve*", "it salves", true),
            ("such lots", "after such lots runs", true),
            ("gadget", "a file `.gadget` or x_gadget", false),
        ] {
            assert_eq!(is_found(pattern, Kind::Prose, text), expected, "{pattern} in {text}");
        }
        assert!(!is_found("thingy", Kind::Code, "thingy"));
    }
}
