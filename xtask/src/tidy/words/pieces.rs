//! Source files and documents, cut into code and prose.

/// Text of one line that is all code or all prose.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub(super) line: usize,
    pub(super) kind: Kind,
    pub(super) text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Code of a program.
    Code,
    /// Words for people: a comment, a document, a message.
    Prose,
    /// Code within prose: between backquotes, or in a fenced block.
    Quoted,
}

/// Marks between which strings of a language are, the longest first.
const RUST_QUOTES: &[&str] = &["\""];
const PYTHON_QUOTES: &[&str] = &["\"\"\"", "'''", "\"", "'"];

/// Cuts a file by the rules of its kind; empty for kinds that have none.
pub(super) fn cut(file: &str, content: &str) -> Vec<Piece> {
    let mut cutter = Cutter { pieces: Vec::new(), line: 1, rest: content };
    match file.rsplit_once('.').map(|(_, ending)| ending) {
        Some("md") => return markdown(content),
        Some("rs") => cutter.program("//", RUST_QUOTES),
        Some("py" | "pyi") => cutter.program("#", PYTHON_QUOTES),
        _ => {}
    }
    cutter.pieces
}

/// Cuts a document: fenced blocks and what is between backquotes are code.
fn markdown(content: &str) -> Vec<Piece> {
    let (mut pieces, mut is_fenced, mut is_quoted) = (Vec::new(), false, false);
    for (at, line) in content.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced {
            pieces.push(Piece { line: at + 1, kind: Kind::Quoted, text: line.to_owned() });
        } else {
            // A quotation may go on in the next line, and ends with the paragraph.
            is_quoted &= !line.trim().is_empty();
            is_quoted = prose(&mut pieces, at + 1, line, is_quoted);
        }
    }
    pieces
}

/// Cuts a line of prose at its backquotes; returns whether it ends within a quotation.
fn prose(pieces: &mut Vec<Piece>, line: usize, text: &str, mut is_quoted: bool) -> bool {
    for (number, part) in text.split('`').enumerate() {
        is_quoted ^= number > 0;
        if !part.is_empty() {
            let kind = if is_quoted { Kind::Quoted } else { Kind::Prose };
            pieces.push(Piece { line, kind, text: part.to_owned() });
        }
    }
    is_quoted
}

struct Cutter<'a> {
    pieces: Vec<Piece>,
    line: usize,
    rest: &'a str,
}

impl Cutter<'_> {
    /// Cuts a program into its code, its comments and its strings.
    fn program(&mut self, comment: &str, quotes: &[&str]) {
        let mut code = String::new();
        while let Some(next) = self.rest.chars().next() {
            if self.rest.starts_with(comment) {
                self.code(&mut code);
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.prose(end);
            } else if let Some(quote) = quotes.iter().find(|quote| self.rest.starts_with(**quote)) {
                let hashes = code.len() - code.trim_end_matches('#').len();
                let is_raw = code.trim_end_matches('#').ends_with('r');
                self.code(&mut code);
                self.rest = &self.rest[quote.len()..];
                let closing =
                    [quote, "#".repeat(if is_raw { hashes } else { 0 }).as_str()].concat();
                self.string(string_end(self.rest, &closing, is_raw));
                self.rest = self.rest.strip_prefix(closing.as_str()).unwrap_or_default();
            } else if let Some(len) = quotes.contains(&"'").then_some(0).or(character(self.rest)) {
                // Quotation marks as characters begin no string.
                let len = len.max(next.len_utf8());
                code.push(if len > next.len_utf8() { ' ' } else { next });
                self.advance(len, &mut code);
            } else {
                code.push(next);
                self.advance(next.len_utf8(), &mut code);
            }
        }
        self.code(&mut code);
    }

    fn advance(&mut self, len: usize, code: &mut String) {
        let passed = &self.rest[..len];
        self.rest = &self.rest[len..];
        if passed.contains('\n') {
            self.code(code);
            self.line += 1;
        }
    }

    /// Ends a piece of code.
    fn code(&mut self, code: &mut String) {
        let text = std::mem::take(code);
        if !text.trim().is_empty() {
            self.pieces.push(Piece { line: self.line, kind: Kind::Code, text });
        }
    }

    /// Takes this many bytes as a string: prose, unless it is a name or a label, which is one word.
    fn string(&mut self, len: usize) {
        if self.rest[..len].contains(char::is_whitespace) {
            self.prose(len);
        } else {
            self.rest = &self.rest[len..];
        }
    }

    /// Takes this many bytes as prose.
    fn prose(&mut self, len: usize) {
        let (text, rest) = self.rest.split_at(len);
        self.rest = rest;
        let last = text.matches('\n').count();
        for (number, line) in text.split('\n').enumerate() {
            prose(&mut self.pieces, self.line, line, false);
            self.line += usize::from(number < last);
        }
    }
}

/// Where a string ends, in bytes from its beginning.
fn string_end(text: &str, closing: &str, is_raw: bool) -> usize {
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        if text[at..].starts_with(closing) {
            return at;
        }
        at += next.len_utf8();
        if next == '\\' && !is_raw {
            at += text[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    text.len()
}

/// Length of a character literal of Rust, if one is here; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let end = string_end(inside, "'", false);
    let is_one = inside[..end].chars().count() == 1 || inside.starts_with('\\');
    (is_one && inside[end..].starts_with('\'')).then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(file: &str, content: &str) -> Vec<String> {
        let pieces = cut(file, content).into_iter();
        pieces
            .map(|Piece { line, kind, text }| format!("{line} {kind:?} {}", text.trim()))
            .collect()
    }

    #[test]
    fn comments_and_strings_of_rust_are_prose() {
        let text = "/// Says `code`.\nfn f<'a>(c: &'a str) { // why\n    p('\"', '\\'', \"a \\\" b\nc\") }\nr#\"one \"two\"#;\n";
        assert_eq!(
            shown("a.rs", text),
            [
                "1 Prose /// Says",
                "1 Quoted code",
                "1 Prose .",
                "2 Code fn f<'a>(c: &'a str) {",
                "2 Prose // why",
                "3 Code p( ,  ,",
                "3 Prose a \\\" b",
                "4 Prose c",
                "4 Code ) }",
                "5 Code r#",
                "5 Prose one \"two",
                "5 Code ;",
            ]
        );
    }

    #[test]
    fn comments_and_strings_of_python_are_prose() {
        let text = "\"\"\"One \"two\"\nthree.\"\"\"\nx = 'a' + y  # why\n";
        assert_eq!(
            shown("a.py", text),
            ["1 Prose One \"two\"", "2 Prose three.", "3 Code x =", "3 Code + y", "3 Prose # why"]
        );
    }

    #[test]
    fn blocks_and_quotations_of_documents_are_code() {
        let text = "Run `a\nb` now.\n```sh\ncommand\n```\nEnd `open\n\nNext.\n";
        assert_eq!(
            shown("a.md", text),
            [
                "1 Prose Run",
                "1 Quoted a",
                "2 Quoted b",
                "2 Prose now.",
                "4 Quoted command",
                "6 Prose End",
                "6 Quoted open",
                "8 Prose Next.",
            ]
        );
        assert!(cut("a.toml", "x = 1").is_empty());
    }
}
