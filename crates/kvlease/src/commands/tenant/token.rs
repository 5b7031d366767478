//! Tokens of tenants: drawn, shown once, and kept as hashes.

use std::{fs, io, path::Path};

use kvlease_server::config::TokenHash;

use super::replace::{Replaced, replace};
use crate::{
    failure::{Failure, Status},
    text::note,
};

/// Bytes of a token, each of two hexadecimal digits.
const LEN: usize = 32;

/// A new token.
pub(super) struct Token(String);

impl Token {
    /// Draws a token.
    pub(super) fn draw() -> Result<Self, Failure> {
        let mut bytes = [0; LEN];
        getrandom::fill(&mut bytes).map_err(|error| {
            Failure::new(Status::Io, format!("the system gives no random bytes: {error}"))
        })?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The token itself.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }

    /// The digits of its hash, as a configuration has them.
    pub(super) fn digits(&self) -> String {
        TokenHash::of(self.0.as_bytes()).digits()
    }

    /// Adds a line with the hash to a file of tokens, which is made if it is not there.
    pub(super) fn append_to(&self, path: &Path, label: &str) -> Result<(), Failure> {
        if label.contains(char::is_control) {
            let line = "a label is one line without control characters, label=`--label`";
            return Err(Failure::new(Status::Usage, line));
        }
        let earlier = match fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::file("read the file of tokens", path)(error)),
        };
        let mut text = earlier.clone().unwrap_or_default();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{}  {label}\n", self.digits()));
        let replaced = replace(path, earlier.as_deref(), &text, |_| Ok(()))?;
        let made = if replaced == Replaced::Made { ", which is new" } else { "" };
        note(format_args!("its hash is in `{}`{made}", path.display()));
        Ok(())
    }
}
