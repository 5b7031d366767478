//! The variables of OpenTelemetry that set what `[otlp]` leaves open.
//!
//! They are weaker than the daemon's own file, variables and flags, and a bad one is told and not taken: they
//! are often set for all programs of a machine or a pod.

use std::collections::BTreeMap;

use super::{
    otlp::{OtlpSignals, ResourceAttributes},
    settings::{Config, SETTINGS},
};

/// Variables whose values are those of settings, and the setting of each.
const PLAIN: [(&str, &str); 3] = [
    ("OTEL_RESOURCE_ATTRIBUTES", "otlp.resource_attributes"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp.endpoint"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "otlp.tls_ca_file"),
];

/// Variables with milliseconds, and the setting of each, in seconds.
const MILLISECONDS: [(&str, &str); 2] = [
    ("OTEL_METRIC_EXPORT_INTERVAL", "otlp.interval_s"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp.timeout_s"),
];

/// The protocol that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// Applies the variables, and returns a sentence for an operator about each that is not taken.
pub(super) fn apply(config: &mut Config, environment: &[(String, String)]) -> Vec<String> {
    let mut notes = Vec::new();
    // An empty variable is as good as none, also by the rules of OpenTelemetry.
    let set =
        environment.iter().filter(|(name, value)| name.starts_with("OTEL_") && !value.is_empty());
    let set: BTreeMap<_, _> = set.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let get = |name| set.get(name).copied();
    if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return notes;
    }
    let mut put = |(name, path): (&str, &str), value: &str| {
        let setting = SETTINGS.iter().find(|setting| setting.path == path);
        let setting = setting.expect("each path of the tables is a setting's");
        let refused = (setting.set)(config, value).err();
        refused.map(|remedy| not_taken(name, value, &remedy))
    };
    for row in PLAIN {
        notes.extend(get(row.0).and_then(|value| put(row, value)));
    }
    for row in MILLISECONDS {
        let Some(value) = get(row.0) else { continue };
        notes.extend(match value.parse::<u32>() {
            Ok(span) => put(row, &(f64::from(span) / 1e3).to_string()),
            Err(_) => Some(not_taken(row.0, value, "write a whole number of milliseconds")),
        });
    }
    if let Some(sampler) = get("OTEL_TRACES_SAMPLER") {
        let ratio = match sampler.strip_prefix("parentbased_").unwrap_or(sampler) {
            "always_on" => "1",
            "always_off" => "0",
            "traceidratio" => get("OTEL_TRACES_SAMPLER_ARG").unwrap_or("1"),
            _ => sampler,
        };
        notes.extend(put(("OTEL_TRACES_SAMPLER", "otlp.sample_ratio"), ratio));
    }
    if let Some(name) = get("OTEL_SERVICE_NAME") {
        let attributes: &mut ResourceAttributes = &mut config.otlp.resource_attributes;
        *attributes = attributes.with("service.name", name);
    }
    let is_off = |name| get(name) == Some("none");
    config.otlp.signals = match (is_off("OTEL_TRACES_EXPORTER"), is_off("OTEL_METRICS_EXPORTER")) {
        (false, false) => OtlpSignals::All,
        (true, false) => OtlpSignals::Metrics,
        (false, true) => OtlpSignals::Traces,
        (true, true) => {
            config.otlp.endpoint = None;
            OtlpSignals::All
        }
    };
    if let Some(protocol) = get("OTEL_EXPORTER_OTLP_PROTOCOL").filter(|name| *name != PROTOCOL)
        && config.otlp.endpoint.take().is_some()
    {
        let remedy = format!("`{PROTOCOL}` is spoken: set otlp.endpoint to a port that takes it");
        notes.push(not_taken("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, &remedy));
    }
    notes
}

fn not_taken(name: &str, value: &str, remedy: &str) -> String {
    // An endpoint may have a password.
    let value = if name == "OTEL_EXPORTER_OTLP_ENDPOINT" { "…" } else { value };
    format!("a variable of OpenTelemetry is not taken: {remedy}, {name}=`{value}`")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn applied(variables: &[(&str, &str)]) -> (Config, Vec<String>) {
        let mut config = Config::default();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let notes = apply(&mut config, &variables.iter().map(own).collect::<Vec<_>>());
        (config, notes)
    }

    #[test]
    fn variables_of_opentelemetry_set_what_they_name() {
        let (config, notes) = applied(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=b"),
            ("OTEL_SERVICE_NAME", "cache"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ]);
        assert_eq!(notes, [""; 0]);
        let otlp = config.otlp;
        assert_eq!(otlp.endpoint.unwrap().to_string(), "http://collector:4318");
        assert_eq!(otlp.timeout, Duration::from_millis(2500));
        assert_eq!(otlp.interval, Duration::from_secs(5));
        assert_eq!(otlp.tls_ca_file.unwrap().to_str(), Some("/etc/ca.pem"));
        assert_eq!((otlp.sample_ratio, otlp.signals), (0.5, OtlpSignals::Traces));
        assert_eq!(otlp.resource_attributes.to_string(), "a=b,service.name=cache");
        let sampled = |sampler| applied(&[("OTEL_TRACES_SAMPLER", sampler)]).0.otlp.sample_ratio;
        assert_eq!([sampled("always_on"), sampled("parentbased_always_off")], [1.0, 0.0]);
    }

    #[test]
    fn what_is_switched_off_or_of_no_use_changes_nothing() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let off: [&[_]; 3] = [
            &[endpoint, ("OTEL_SDK_DISABLED", "true")],
            &[endpoint, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
        ];
        for variables in off {
            let (config, notes) = applied(variables);
            assert_eq!((config, notes.len()), (Config::default(), 0), "{variables:?}");
        }
        let bad: [(&[_], &str); 4] = [
            (&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "http/protobuf"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hunter2@a:1")], "otlp.headers_file"),
            (
                &[("OTEL_METRIC_EXPORT_INTERVAL", "1s")],
                "milliseconds, OTEL_METRIC_EXPORT_INTERVAL=`1s`",
            ),
            (&[("OTEL_TRACES_SAMPLER", "jaeger_remote")], "OTEL_TRACES_SAMPLER=`jaeger_remote`"),
        ];
        for (variables, part) in bad {
            let (config, notes) = applied(variables);
            assert_eq!((&config, notes.len()), (&Config::default(), 1), "{notes:?}");
            assert!(notes[0].contains(part) && !notes[0].contains("hunter2"), "{notes:?}");
        }
    }
}
