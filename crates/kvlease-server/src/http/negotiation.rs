//! Formats that a client accepts.

use http::{HeaderMap, header};

/// Type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// Type of the text format of Prometheus.
const TEXT: &str = "text/plain";

/// Whether the client names the OpenMetrics format, and prefers no other to it.
pub(super) fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut open, mut text) = (0.0_f32, 0.0_f32);
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let quality: Option<f32> = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
        let quality = quality.unwrap_or(1.0);
        if kind.eq_ignore_ascii_case(OPEN_METRICS) {
            open = quality.max(open);
        } else if kind.eq_ignore_ascii_case(TEXT) {
            text = quality.max(text);
        }
    }
    open > 0.0 && open >= text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        wants_open_metrics(&headers)
    }

    #[test]
    fn the_format_is_the_one_that_is_preferred() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert!(wants(prometheus));
        assert!(wants("application/openmetrics-text"));
        assert!(!wants("text/plain"));
        assert!(!wants("*/*"));
        assert!(!wants("application/openmetrics-text;q=0"));
        assert!(!wants("text/plain;version=0.0.4, application/openmetrics-text;q=0.1"));
        assert!(!wants_open_metrics(&HeaderMap::new()));
    }
}
