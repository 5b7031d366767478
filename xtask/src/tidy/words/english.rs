//! Rules of style that need no dictionary.

/// The most words of a sentence in a document.
const SENTENCE_WORDS_MAX: usize = 45;

/// Words that do not begin a document of code: a noun does, or a verb.
const RELATIVE: [&str; 5] = ["what", "who", "whom", "whose", "whatever"];

/// Sentences of a document that are too long, each with its first line and its words.
pub(super) fn long_sentences(content: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut sentence = Sentence::default();
    let mut is_fenced = false;
    for (at, line) in content.lines().enumerate() {
        let line = line.trim();
        let is_fence = line.starts_with("```");
        is_fenced ^= is_fence;
        let is_prose = !is_fenced && !is_fence && !line.starts_with(['|', '#']);
        let is_item = line.starts_with("- ") || line.starts_with("* ");
        if !is_prose || line.is_empty() || is_item {
            sentence.end(&mut found);
        }
        if is_prose {
            line.split_whitespace().for_each(|word| sentence.take(at + 1, word, &mut found));
        }
    }
    sentence.end(&mut found);
    found
}

#[derive(Default)]
struct Sentence {
    line: usize,
    words: usize,
    /// Within a quotation of code, which counts as one word.
    is_quoted: bool,
}

impl Sentence {
    fn take(&mut self, line: usize, word: &str, found: &mut Vec<(usize, usize)>) {
        if self.words == 0 {
            self.line = line;
        }
        self.words += usize::from(!self.is_quoted && word.contains(char::is_alphanumeric));
        self.is_quoted ^= word.matches('`').count() % 2 == 1;
        let end = word.trim_end_matches(['*', ')', '"', '_']);
        if !self.is_quoted && end.ends_with(['.', '!', '?']) {
            self.end(found);
        }
    }

    fn end(&mut self, found: &mut Vec<(usize, usize)>) {
        if self.words > SENTENCE_WORDS_MAX {
            found.push((self.line, self.words));
        }
        *self = Self::default();
    }
}

/// Lines on which a document of code begins with a relative clause.
pub(super) fn relative_beginnings(content: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut before = "";
    for (at, line) in content.lines().enumerate() {
        let line = line.trim_start();
        let text = line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! "));
        let is_first = !before.starts_with("///") && !before.starts_with("//!");
        let word = text.and_then(|text| text.split_whitespace().next()).unwrap_or_default();
        if is_first && RELATIVE.contains(&word.to_lowercase().as_str()) {
            found.push((at + 1, word));
        }
        before = line;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_counted_over_lines_and_end_with_paragraphs() {
        let words = |count: usize| "word ".repeat(count);
        let at_most = words(SENTENCE_WORDS_MAX);
        let longer = words(SENTENCE_WORDS_MAX + 1);
        for (text, expected) in [
            (format!("{at_most}."), vec![]),
            (format!("Short.\n\n{}\n{}.", words(20), words(26)), vec![(3, 46)]),
            (format!("- {}\n- {}", words(30), words(30)), vec![]),
            (format!("{}? {}! **{}.** {}", words(30), words(30), words(30), words(30)), vec![]),
            (format!("{} `{}` {}.", words(20), words(30), words(20)), vec![]),
            (format!("```\n{longer}\n```\n| {longer} |\n# {longer}\n"), vec![]),
        ] {
            assert_eq!(long_sentences(&text), expected, "{text}");
        }
    }

    #[test]
    fn the_first_line_of_a_document_of_code_is_looked_at() {
        let text = "//! What a thing is.\n\n/// Permit.\n/// What follows.\n// Who\nfn f() {}\n    /// Who asks.\n";
        assert_eq!(relative_beginnings(text), [(1, "What"), (7, "Who")]);
    }
}
