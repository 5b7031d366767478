//! Traces: which requests are traced, and the queue of what they recorded.

use http::HeaderMap;
use tokio::sync::mpsc::Sender;

use super::{
    parent::Parent,
    span::{Span, SpanRecord, random_id},
};
use crate::metrics::OtlpCounters;

/// All bits of a trace's id that its sampling goes by, and one more.
const ALL: f64 = (1_u64 << 63) as f64;

/// Maker of spans.
#[derive(Debug)]
pub(crate) struct Traces {
    /// Requests without a parent are traced whose trace has a lower number.
    bound: u64,
    queue: Sender<SpanRecord>,
    counters: OtlpCounters,
}

impl Traces {
    /// Traces this part of the requests without a parent, and puts the records into a queue.
    pub(super) fn new(ratio: f64, queue: Sender<SpanRecord>, counters: OtlpCounters) -> Self {
        // A float of this size is a whole number, and 1 is all of them.
        Self { bound: (ratio * ALL) as u64, queue, counters }
    }

    /// The span of a request over HTTP, if it is traced.
    pub(crate) fn join(&self, headers: &HeaderMap) -> Option<Span> {
        match Parent::of(headers) {
            Some(Parent { is_sampled: false, .. }) => None,
            Some(Parent { trace, span, .. }) => {
                Some(Span { trace, id: random_id(), parent: span, is_joined: true })
            }
            None => self.draw(),
        }
    }

    /// The span of work without a parent, if it is traced. Other participants of the trace that go by the same
    /// ratio decide alike: the lower half of its id does, as in OpenTelemetry's sampler.
    pub(crate) fn draw(&self) -> Option<Span> {
        let low = fastrand::u64(..);
        if low >> 1 >= self.bound {
            return None;
        }
        let trace = u128::from(random_id()) << 64 | u128::from(low);
        Some(Span { trace, id: random_id(), parent: 0, is_joined: false })
    }

    /// Puts down what a span recorded, if there is room for it.
    pub(crate) fn record(&self, record: SpanRecord) {
        if self.queue.try_send(record).is_err() {
            self.counters.spans_dropped.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tokio::sync::mpsc;

    use super::*;
    use crate::otlp::SpanKind;

    fn traces(ratio: f64) -> (Traces, mpsc::Receiver<SpanRecord>) {
        let (queue, records) = mpsc::channel(2);
        (Traces::new(ratio, queue, OtlpCounters::default()), records)
    }

    fn parent(flags: &str) -> HeaderMap {
        let value = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        [("traceparent".parse().unwrap(), HeaderValue::from_str(&value).unwrap())]
            .into_iter()
            .collect()
    }

    #[test]
    fn the_parent_decides_and_without_one_the_ratio() {
        for ratio in [0.0, 1.0] {
            let (traces, _records) = traces(ratio);
            let joined = traces.join(&parent("01")).unwrap();
            assert_eq!(joined.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
            assert_eq!((joined.parent, joined.is_joined), (0x00f0_67aa_0ba9_02b7, true));
            assert!(joined.id != 0 && joined.id != joined.parent);
            let part = joined.part();
            assert_eq!((part.trace, part.parent), (joined.trace, joined.id));
            assert!(part.id != joined.id && !part.is_joined);
            assert_eq!(traces.join(&parent("00")), None);
            let drawn = traces.join(&HeaderMap::new());
            assert_eq!(drawn.is_some(), ratio == 1.0);
            assert!(drawn.is_none_or(|span| span.parent == 0 && !span.is_joined));
        }
    }

    #[test]
    fn the_part_of_all_that_is_traced_is_the_ratio_by_the_number_of_the_trace() {
        let (traces, _records) = traces(0.25);
        let drawn: Vec<_> = (0..40_000).filter_map(|_| traces.draw()).collect();
        // Nine standard deviations about the mean: by chance in no lifetime.
        assert!((9_200..10_800).contains(&drawn.len()), "{}", drawn.len());
        assert!(drawn.iter().all(|span| (span.trace as u64) >> 1 < (1 << 63) / 4));
    }

    #[test]
    fn beyond_the_room_of_the_queue_records_are_counted() {
        let (traces, mut records) = traces(1.0);
        let record = SpanRecord {
            span: traces.draw().unwrap(),
            name: "a".into(),
            kind: SpanKind::Server,
            ended: std::time::UNIX_EPOCH,
            took: std::time::Duration::ZERO,
            attributes: Vec::new(),
            failed: false,
        };
        (0..5).for_each(|_| traces.record(record.clone()));
        assert_eq!(traces.counters.spans_dropped.get(), 3);
        assert_eq!(records.try_recv().unwrap(), record);
        traces.record(record);
        assert_eq!(traces.counters.spans_dropped.get(), 3);
    }
}
