//! Bearer tokens.

use std::{fmt, path::PathBuf, str::FromStr};

/// The longest token, in bytes.
const TOKEN_LEN_MAX: usize = 4096;

/// A bearer token (RFC 6750): the secret by which a daemon knows a client. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text that is no token. The text is left out: it may be a secret all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a token is one word of 1 to 4096 letters, digits and `-._~+/`, with `=` at its end alone")]
pub struct TokenError;

/// Source of a client's token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenSource {
    /// The token itself.
    Given(Token),
    /// A file with the token in one line. It is read again when it changes.
    File(PathBuf),
}

impl Token {
    /// The token, for the one place that it is sent from.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let word = text.trim_end_matches('=');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        let is_token =
            !word.is_empty() && text.len() <= TOKEN_LEN_MAX && word.bytes().all(is_plain);
        if is_token { Ok(Self(text.to_owned())) } else { Err(TokenError) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_is_never_shown() {
        for text in ["a", "kvl_0123-._~+/==", &"x".repeat(TOKEN_LEN_MAX)] {
            let token: Token = text.parse().unwrap();
            assert_eq!(token.secret(), text);
            assert_eq!(format!("{:?}", TokenSource::Given(token)), "Given(Token(…))");
        }
        for text in ["", "=", "a b", "a=b", "a\r\nhost: x", "a\n", "ü", &"x".repeat(4097)] {
            assert_eq!(text.parse::<Token>(), Err(TokenError), "{text}");
        }
    }
}
