//! Settings of traces and metrics over OTLP.

use std::{fmt, path::PathBuf, time::Duration};

use http::Uri;

/// Settings of the section `[otlp]`.
#[derive(Clone, PartialEq, Debug)]
pub struct OtlpSettings {
    /// Base URL of the collector; `None` for nothing over OTLP.
    pub endpoint: Option<OtlpEndpoint>,
    /// File with headers of every request to it, which are secrets.
    pub headers_file: Option<PathBuf>,
    /// File with certificates of authorities beside the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// Signals that are sent.
    pub signals: OtlpSignals,
    /// Part of the requests without a trace of their own that are traced, from 0 to 1.
    pub sample_ratio: f64,
    /// Time between two exports of the metrics.
    pub interval: Duration,
    /// Longest time of a request to the collector.
    pub timeout: Duration,
    /// Attributes of the daemon beside its own.
    pub resource_attributes: ResourceAttributes,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers_file: None,
            tls_ca_file: None,
            signals: OtlpSignals::All,
            sample_ratio: 0.01,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            resource_attributes: ResourceAttributes::default(),
        }
    }
}

/// Base URL of a collector, which has no credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtlpEndpoint(String);

impl OtlpEndpoint {
    /// Parses a URL, or `none`.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        if text == "none" {
            return Ok(None);
        }
        let refused = || {
            "write the base URL of a collector that takes OTLP over HTTP, such as \
             `http://127.0.0.1:4318`, with secrets in otlp.headers_file, or `none`"
                .to_owned()
        };
        let url: Uri = text.parse().map_err(|_| refused())?;
        let is_http = matches!(url.scheme_str(), Some("http" | "https"));
        let has_host = url.authority().is_some_and(|host| {
            let has_port = host.port_u16().is_some();
            !host.as_str().contains('@') && (has_port || host.as_str() == host.host())
        });
        if !is_http || !has_host || text.contains(['?', '#']) {
            return Err(refused());
        }
        Ok(Some(Self(text.trim_end_matches('/').to_owned())))
    }

    /// URL of a signal's requests.
    #[cfg(feature = "otlp")]
    pub(crate) fn of_signal(&self, signal: &str) -> Uri {
        let url = format!("{}/v1/{signal}", self.0);
        url.parse().expect("a path behind a URL without a query makes a URL")
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Signals that are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtlpSignals {
    /// Traces and metrics.
    All,
    /// Traces.
    Traces,
    /// Metrics.
    Metrics,
}

impl OtlpSignals {
    const ALL: [Self; 3] = [Self::All, Self::Traces, Self::Metrics];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|signals| signals.name() == text);
        found.ok_or_else(|| "write `all`, `traces` or `metrics`".into())
    }

    /// Whether traces are sent.
    pub const fn has_traces(self) -> bool {
        !matches!(self, Self::Metrics)
    }

    /// Whether metrics are sent.
    pub const fn has_metrics(self) -> bool {
        !matches!(self, Self::Traces)
    }
}

/// Attributes of the daemon, in the form of `OTEL_RESOURCE_ATTRIBUTES`: `NAME=VALUE`, separated by commas, with
/// values percent-encoded.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ResourceAttributes(String);

impl ResourceAttributes {
    /// Parses attributes, or `none`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::default());
        }
        let is_sound = |pair: &str| {
            let parts = pair.split_once('=');
            parts.is_some_and(|(name, value)| !name.trim().is_empty() && decoded(value).is_some())
        };
        match text.split(',').all(is_sound) {
            true => Ok(Self(text.to_owned())),
            false => {
                Err("write `NAME=VALUE`, separated by commas, with `%2C` for a comma in a value, \
                 or `none`"
                    .into())
            }
        }
    }

    /// The same with an attribute before the others, of which the last of a name counts.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
        let first = format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        Self(if self.0.is_empty() { first } else { format!("{},{first}", self.0) })
    }

    /// Names and values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, String)> {
        let pairs = self.0.split(',').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.trim(), decoded(value).unwrap_or_default()))
    }
}

fn decoded(value: &str) -> Option<String> {
    let value = percent_encoding::percent_decode_str(value.trim());
    value.decode_utf8().ok().map(|value| value.into_owned())
}

impl fmt::Display for ResourceAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { &self.0 })
    }
}

/// A part of all requests.
pub(super) fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("write a number from 0 to 1, such as `0.01` for one request in a hundred".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_without_secrets() {
        let parsed = |text| OtlpEndpoint::parse(text).map(|found| found.map(|url| url.to_string()));
        for (text, kept) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318"),
            ("https://otel.example/tenant/", "https://otel.example/tenant"),
            ("http://[::1]:4318/", "http://[::1]:4318"),
        ] {
            assert_eq!(parsed(text), Ok(Some(kept.to_owned())));
        }
        assert_eq!(parsed("none"), Ok(None));
        for text in [
            "",
            "127.0.0.1:4318",
            "grpc://a:4317",
            "http://",
            "http://u:p@a:4318",
            "http://a:4318/?token=x",
            "http://a:4318/#x",
            "http://a:70000",
        ] {
            let refused = parsed(text).unwrap_err();
            assert!(refused.contains("http://127.0.0.1:4318"), "{text}: {refused}");
        }
    }

    #[test]
    fn attributes_are_read_as_those_of_the_environment() {
        let attributes = ResourceAttributes::parse("a=1, b.c = x%2Cy ").unwrap();
        let pairs: Vec<_> = attributes.pairs().collect();
        assert_eq!(pairs, [("a", "1".to_owned()), ("b.c", "x,y".to_owned())]);
        let named = attributes.with("service.name", "a=b, c");
        assert_eq!(named.pairs().last(), Some(("service.name", "a=b, c".to_owned())));
        assert_eq!(ResourceAttributes::parse(&named.to_string()), Ok(named));
        assert_eq!(ResourceAttributes::parse("none").unwrap().pairs().count(), 0);
        for text in ["", "a", "=1", "a=1,,b=2", "a=%ff"] {
            assert!(ResourceAttributes::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_ratio_is_between_none_and_all() {
        assert_eq!(["0", "0.25", "1"].map(ratio), [Ok(0.0), Ok(0.25), Ok(1.0)]);
        assert!(["-0.1", "1.5", "nan", "", "1%"].iter().all(|text| ratio(text).is_err()));
    }
}
