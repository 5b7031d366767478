//! Settings by which the daemon knows the client.

use std::path::PathBuf;

use kvlease_http::{Token, TokenError, TokenSource};

use super::{
    AdapterError, Value, keys,
    reader::{Entry, Reader},
};

/// Text in the place of a secret.
pub(super) const SECRET: &str = "…";

/// The token or its file, of which there is one at most.
pub(super) fn token(reader: &Reader<'_>) -> Result<Option<TokenSource>, AdapterError> {
    let (given, file) = (reader.own(keys::TOKEN), reader.own(keys::TOKEN_FILE));
    match (parse(&given)?, file.path()?) {
        (Some(_), Some(_)) => Err(refused(&given, "leave it out, or the file")),
        (Some(token), None) => Ok(Some(TokenSource::Given(token))),
        (None, file) => Ok(file.map(TokenSource::File)),
    }
}

/// Files of the client's certificate and of its key: both or none.
pub(super) fn certificate(reader: &Reader<'_>) -> Result<[Option<PathBuf>; 2], AdapterError> {
    let certificate = reader.own(keys::TLS_CERTIFICATE_FILE);
    let key = reader.own(keys::TLS_KEY_FILE);
    let lone = |entry: &Entry<'_>, other: &str| {
        let value = entry.value.unwrap_or(&Value::Null);
        Err(entry.refused(value, &format!("give {other} as well")))
    };
    match (certificate.path()?, key.path()?) {
        (Some(_), None) => lone(&certificate, &key.key),
        (None, Some(_)) => lone(&key, &certificate.key),
        files => Ok(files.into()),
    }
}

fn parse(entry: &Entry<'_>) -> Result<Option<Token>, AdapterError> {
    match entry.value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Str(text)) => {
            let token = text.trim().parse().map(Some);
            token.map_err(|error: TokenError| refused(entry, &error.to_string()))
        }
        Some(_) => Err(refused(entry, "give the token, in quotes")),
    }
}

/// The error of a token, whose value is not shown.
fn refused(entry: &Entry<'_>, remedy: &str) -> AdapterError {
    let (key, remedy) = (entry.key.clone(), remedy.to_owned());
    AdapterError::Value { key, value: SECRET.to_owned(), remedy }
}
