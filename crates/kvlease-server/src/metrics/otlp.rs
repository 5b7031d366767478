//! Metrics of what is sent over OTLP.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Counters of what is sent over OTLP.
#[derive(Clone, Debug)]
pub(crate) struct OtlpCounters {
    spans: Family<SpanLabels, Counter>,
    messages: Family<MessageLabels, Counter>,
    /// Spans that the collector took.
    pub(crate) spans_sent: Counter,
    /// Spans for which the queue had no room.
    pub(crate) spans_dropped: Counter,
    /// Spans that the collector did not take.
    pub(crate) spans_failed: Counter,
    /// Messages with spans.
    pub(crate) traces: MessageCounters,
    /// Messages with metrics.
    pub(crate) metrics: MessageCounters,
}

/// Counters of the messages of a signal.
#[derive(Clone, Debug)]
pub(crate) struct MessageCounters {
    taken: Counter,
    failed: Counter,
}

/// Labels of a count of spans.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct SpanLabels {
    outcome: &'static str,
}

/// Labels of a count of messages.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct MessageLabels {
    signal: &'static str,
    outcome: &'static str,
}

impl Default for OtlpCounters {
    fn default() -> Self {
        let spans = Family::<SpanLabels, Counter>::default();
        let messages = Family::<MessageLabels, Counter>::default();
        let of_spans = |outcome| spans.get_or_create(&SpanLabels { outcome }).clone();
        let of_messages = |signal| {
            let counter =
                |outcome| messages.get_or_create(&MessageLabels { signal, outcome }).clone();
            MessageCounters { taken: counter("ok"), failed: counter("failed") }
        };
        Self {
            spans_sent: of_spans("ok"),
            spans_dropped: of_spans("queue_full"),
            spans_failed: of_spans("failed"),
            traces: of_messages("traces"),
            metrics: of_messages("metrics"),
            spans,
            messages,
        }
    }
}

impl OtlpCounters {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Spans for the OTLP collector, by what became of them";
        registry.register("otlp_spans", help, self.spans.clone());
        let help = "Messages to the OTLP collector, by signal and outcome";
        registry.register("otlp_messages", help, self.messages.clone());
    }
}

impl MessageCounters {
    #[cfg(feature = "otlp")]
    pub(crate) fn count(&self, is_taken: bool) {
        let counter = if is_taken { &self.taken } else { &self.failed };
        counter.inc();
    }
}
