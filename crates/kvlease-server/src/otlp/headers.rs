//! Headers of the requests to the collector, which may be secrets.

use std::{env, path::Path};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    bounded_file,
    config::{ConfigError, OtlpSettings},
};

/// The longest file, in bytes.
const LEN_MAX: u64 = 64 << 10;

/// The variable of OpenTelemetry, for a daemon without a file. It is no setting: settings are printed.
const VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Headers that the daemon sets itself.
const OWN: [HeaderName; 5] = [
    header::HOST,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
];

/// The headers that are configured.
pub(super) fn configured(settings: &OtlpSettings) -> Result<HeaderMap, ConfigError> {
    if let Some(path) = &settings.headers_file {
        return of_file(path).map_err(|remedy| ConfigError::Value {
            key: "otlp.headers_file".into(),
            value: path.display().to_string(),
            remedy,
            origin: "file of the headers".into(),
        });
    }
    let text = env::var(VARIABLE).unwrap_or_default();
    of_variable(&text).map_err(|remedy| ConfigError::Value {
        key: VARIABLE.into(),
        value: "…".into(),
        remedy,
        origin: "environment".into(),
    })
}

/// Reads `NAME: VALUE` lines. An error shows nothing of a value.
fn of_file(path: &Path) -> Result<HeaderMap, String> {
    let text = bounded_file::read(path, LEN_MAX)?;
    let lines = (1..).zip(text.lines());
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let pair = line.split_once(':');
            let header = pair.and_then(|(name, value)| header(name, value.trim()));
            header.ok_or_else(|| {
                format!("write `NAME: VALUE`, and no header of HTTP itself, line=`{number}`")
            })
        })
        .collect()
}

/// Reads `NAME=VALUE` pairs, separated by commas, with values percent-encoded.
fn of_variable(text: &str) -> Result<HeaderMap, String> {
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
            header(name, &value)
        })
        .collect::<Option<_>>()
        .ok_or_else(|| "write `NAME=VALUE`, separated by commas, or set otlp.headers_file".into())
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name: HeaderName = name.trim().parse().ok().filter(|name| !OWN.contains(name))?;
    let mut value: HeaderValue = value.parse().ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<HeaderMap, String> {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("headers");
        std::fs::write(&path, text).unwrap();
        of_file(&path)
    }

    #[test]
    fn a_file_has_a_header_a_line_and_a_variable_pairs() {
        let headers = file("# collector\n\nAuthorization: Bearer a:b=c\r\nX-Scope: 7\n").unwrap();
        assert_eq!(headers[header::AUTHORIZATION], "Bearer a:b=c");
        assert_eq!((&headers["x-scope"], headers.len()), (&HeaderValue::from_static("7"), 2));
        assert!(!format!("{headers:?}").contains("Bearer"), "secrets are not shown");
        let headers = of_variable("authorization=Bearer%20a%2Cb, x-scope=7").unwrap();
        assert_eq!(headers[header::AUTHORIZATION], "Bearer a,b");
        assert_eq!(headers["x-scope"], "7");
        assert_eq!(of_variable("").unwrap().len(), 0);
    }

    #[test]
    fn a_fault_names_its_line_and_shows_no_value() {
        for text in ["x: 1\nhunter2\n", "x: 1\ncontent-length: hunter2\n", "x: 1\n: hunter2\n"] {
            let refused = file(text).unwrap_err();
            assert!(refused.ends_with("line=`2`") && !refused.contains("hunter2"), "{refused}");
        }
        assert!(of_variable("hunter2").is_err() && of_variable("host=a").is_err());
    }
}
