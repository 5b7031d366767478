//! `$NAME` and `${NAME}` in a URL, as Python's `os.path.expandvars` replaces them.

use std::ops::Range;

/// Replaces `$NAME` and `${NAME}` by what `env` knows of them, and leaves those that it does not
/// know. A name after a bare `$` is made of ASCII letters, digits and underscores; one in braces of
/// anything but `}`. What was put in is not looked at again.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(variable) = next_variable(rest) {
        expanded.push_str(&rest[..variable.whole.start]);
        match env(variable.name) {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(&rest[variable.whole.clone()]),
        }
        rest = &rest[variable.whole.end..];
    }
    expanded.push_str(rest);
    expanded
}

struct Variable<'a> {
    /// Where it is, with its dollar and its braces.
    whole: Range<usize>,
    name: &'a str,
}

fn next_variable(text: &str) -> Option<Variable<'_>> {
    for (start, _) in text.match_indices('$') {
        let after = &text[start + 1..];
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        if let Some((name, _)) = braced {
            return Some(Variable { whole: start..start + name.len() + 3, name });
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = &after[..after.find(|c| !is_word(c)).unwrap_or(after.len())];
        if !name.is_empty() {
            return Some(Variable { whole: start..start + 1 + name.len(), name });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        let value = match name {
            "HOST" => "node-7",
            "PORT" => "9200",
            "_1" => "one",
            "a b" => "spaced",
            "LOOP" => "$HOST",
            "EMPTY" => "",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn variables_are_replaced_where_python_replaces_them() {
        for (text, expanded) in [
            ("no variable", "no variable"),
            ("$HOST:${PORT}", "node-7:9200"),
            ("a$HOST", "anode-7"),
            ("$HOSTé", "node-7é"),
            ("$_1/$", "one/$"),
            ("${a b}", "spaced"),
            ("$LOOP", "$HOST"),
            ("$EMPTY$EMPTY.", "."),
            ("$$HOST", "$node-7"),
            ("$HOSTNAME ${NOT} $", "$HOSTNAME ${NOT} $"),
            ("${}", "${}"),
            ("${HOST", "${HOST"),
            ("${${HOST}}", "${${HOST}}"),
            ("$-HOST", "$-HOST"),
            ("", ""),
        ] {
            assert_eq!(expand(text, &env), expanded, "{text}");
        }
    }
}
