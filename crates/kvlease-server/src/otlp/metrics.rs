//! Metrics as they go out: all that `/metrics` has, by the same names.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality::Cumulative, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
        number_data_point::Value,
    },
    resource::v1::Resource,
};
use prost::Message;

use super::{
    resource::{attribute, scope},
    samples::{Family, Sample, families},
};

/// Begin and end of what the totals are of, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// The message with the metrics of this text.
pub(super) fn message(resource: &Resource, text: &str, span: Span) -> Vec<u8> {
    let metrics = families(text).iter().filter_map(|family| metric(family, span)).collect();
    let scope = Some(scope());
    let scope_metrics = vec![ScopeMetrics { scope, metrics, ..ScopeMetrics::default() }];
    let resource = Some(resource.clone());
    let metrics = ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![metrics] }.encode_to_vec()
}

/// How many values a collector did not take, by its answer.
pub(super) fn rejected(answer: &[u8]) -> i64 {
    let answer = ExportMetricsServiceResponse::decode(answer).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| partial.rejected_data_points)
}

/// A family, whose name is that of its samples: so a query that finds what Prometheus has scraped finds what
/// came over OTLP as well. `None` for one without samples.
fn metric(family: &Family<'_>, span: Span) -> Option<Metric> {
    let first = family.samples.first()?;
    let numbers = || family.samples.iter().filter_map(|sample| number(sample, span)).collect();
    let (name, data) = match family.kind {
        "histogram" => {
            let data_points = histograms(&family.samples, span);
            let aggregation_temporality = Cumulative.into();
            (family.name, Data::Histogram(Histogram { data_points, aggregation_temporality }))
        }
        "counter" => {
            let (data_points, aggregation_temporality) = (numbers(), Cumulative.into());
            let sum = Sum { data_points, aggregation_temporality, is_monotonic: true };
            (first.name, Data::Sum(sum))
        }
        // A gauge, or a fact with labels whose value is 1.
        _ => (first.name, Data::Gauge(Gauge { data_points: numbers() })),
    };
    Some(Metric {
        name: name.to_owned(),
        description: family.help.to_owned(),
        unit: unit(family.unit).to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

/// A unit by its code of UCUM, which OTLP has.
fn unit(name: &str) -> &str {
    match name {
        "seconds" => "s",
        "bytes" => "By",
        other => other,
    }
}

fn number(sample: &Sample<'_>, span: Span) -> Option<NumberDataPoint> {
    let whole = sample.value.parse().map(Value::AsInt);
    let value = whole.or_else(|_| sample.value.parse().map(Value::AsDouble)).ok()?;
    Some(NumberDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: span.begin,
        time_unix_nano: span.end,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

/// Histograms, of which each one's samples are side by side.
fn histograms(samples: &[Sample<'_>], span: Span) -> Vec<HistogramDataPoint> {
    let same = |one: &Sample<'_>, other: &Sample<'_>| labels(one).eq(labels(other));
    samples.chunk_by(same).map(|samples| histogram(samples, span)).collect()
}

fn histogram(samples: &[Sample<'_>], span: Span) -> HistogramDataPoint {
    let mut point = HistogramDataPoint {
        attributes: samples.first().map(attributes).unwrap_or_default(),
        start_time_unix_nano: span.begin,
        time_unix_nano: span.end,
        ..HistogramDataPoint::default()
    };
    let mut below = 0_u64;
    for sample in samples {
        if let Some((_, bound)) = sample.labels.iter().find(|(name, _)| *name == BOUND) {
            // The text has how many are at most the bound, the message how many are between two.
            let count = sample.value.parse().unwrap_or(below);
            point.bucket_counts.push(count.saturating_sub(below));
            below = below.max(count);
            if let Some(bound) = bound.parse().ok().filter(|bound: &f64| bound.is_finite()) {
                point.explicit_bounds.push(bound);
            }
        } else if sample.name.ends_with("_sum") {
            point.sum = sample.value.parse().ok();
        } else {
            point.count = sample.value.parse().unwrap_or_default();
        }
    }
    point
}

/// The label of a histogram's buckets.
const BOUND: &str = "le";

fn labels<'s>(sample: &'s Sample<'_>) -> impl Iterator<Item = &'s (&'s str, String)> {
    sample.labels.iter().filter(|(name, _)| *name != BOUND)
}

fn attributes(sample: &Sample<'_>) -> Vec<KeyValue> {
    labels(sample).map(|(name, value)| attribute(name, value.clone().into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP kvlease_took_seconds Times.
# TYPE kvlease_took_seconds histogram
# UNIT kvlease_took_seconds seconds
kvlease_took_seconds_sum{operation=\"put\"} 2.5
kvlease_took_seconds_count{operation=\"put\"} 4
kvlease_took_seconds_bucket{le=\"0.5\",operation=\"put\"} 1
kvlease_took_seconds_bucket{le=\"1.0\",operation=\"put\"} 3
kvlease_took_seconds_bucket{le=\"+Inf\",operation=\"put\"} 4
kvlease_took_seconds_sum{operation=\"get\"} 0.0
kvlease_took_seconds_count{operation=\"get\"} 0
kvlease_took_seconds_bucket{le=\"0.5\",operation=\"get\"} 0
kvlease_took_seconds_bucket{le=\"+Inf\",operation=\"get\"} 0
# HELP kvlease_sent_bytes Bytes.
# TYPE kvlease_sent_bytes counter
# UNIT kvlease_sent_bytes bytes
kvlease_sent_bytes_total 17
# HELP kvlease_build The version.
# TYPE kvlease_build info
kvlease_build_info{version=\"1\"} 1
# HELP kvlease_ratio A part.
# TYPE kvlease_ratio gauge
kvlease_ratio 0.25
# HELP kvlease_none None.
# TYPE kvlease_none gauge
# EOF
";

    fn metrics() -> Vec<Metric> {
        let bytes = message(&Resource::default(), TEXT, Span { begin: 1, end: 2 });
        let message = ExportMetricsServiceRequest::decode(&bytes[..]).unwrap();
        message.resource_metrics[0].scope_metrics[0].metrics.clone()
    }

    #[test]
    fn each_family_keeps_its_name_unit_and_kind() {
        let found = metrics();
        let heads: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.unit.as_str(), one.description.as_str()))
            .collect();
        let expected = [
            ("kvlease_took_seconds", "s", "Times."),
            ("kvlease_sent_bytes_total", "By", "Bytes."),
            ("kvlease_build_info", "", "The version."),
            ("kvlease_ratio", "", "A part."),
        ];
        assert_eq!(heads, expected);
        let Some(Data::Sum(sent)) = &found[1].data else { panic!("{found:?}") };
        assert!(sent.is_monotonic && sent.aggregation_temporality == i32::from(Cumulative));
        let point = &sent.data_points[0];
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 2));
        assert_eq!(point.value, Some(Value::AsInt(17)));
        let Some(Data::Gauge(build)) = &found[2].data else { panic!("{found:?}") };
        assert_eq!(build.data_points[0].attributes, [attribute("version", "1".into())]);
        let Some(Data::Gauge(ratio)) = &found[3].data else { panic!("{found:?}") };
        assert_eq!(ratio.data_points[0].value, Some(Value::AsDouble(0.25)));
    }

    #[test]
    fn buckets_of_histograms_count_what_is_between_two_bounds() {
        let found = metrics();
        let Some(Data::Histogram(took)) = &found[0].data else { panic!("{found:?}") };
        let [put, get] = &took.data_points[..] else { panic!("{took:?}") };
        assert_eq!(put.attributes, [attribute("operation", "put".into())]);
        assert_eq!((put.count, put.sum), (4, Some(2.5)));
        assert_eq!(
            (&put.bucket_counts[..], &put.explicit_bounds[..]),
            (&[1, 2, 1][..], &[0.5, 1.0][..])
        );
        assert_eq!((get.count, get.sum), (0, Some(0.0)));
        assert_eq!((&get.bucket_counts[..], &get.explicit_bounds[..]), (&[0, 0][..], &[0.5][..]));
    }
}
