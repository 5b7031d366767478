//! Errors as texts with their causes.

use std::error::Error;

/// The message of an error with those of its causes behind it, on one line. A cause of which the line has the words
/// is left out: some errors show their cause themselves.
pub fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn chain(texts: &[&'static str]) -> Option<Box<Link>> {
        let (text, causes) = texts.split_first()?;
        Some(Box::new(Link { text, source: chain(causes) }))
    }

    #[test]
    fn each_cause_is_named_once() {
        for (texts, line) in [
            (vec!["no answer"], "no answer"),
            (vec!["no answer", "refused", "port 1"], "no answer: refused: port 1"),
            (vec!["no answer: refused", "refused", "port 1"], "no answer: refused: port 1"),
            (vec!["refused", "refused"], "refused"),
            (vec!["no answer", ""], "no answer"),
        ] {
            assert_eq!(with_causes(&chain(&texts).unwrap()), line);
        }
    }
}
