//! The recent past: the history in a few rows, and the latest events.

use std::time::{Duration, SystemTime};

use kvlease_api::HistorySpan;
use kvlease_engine::{Event, EventKind};

use super::{super::events, figure::Figure};
use crate::{
    context::Context,
    history::{Sample, Series},
};

/// Events of the page.
const EVENTS: usize = 20;

/// The longest name on the page, in bytes: longer ones are cut.
const NAME_LEN_MAX: usize = 120;

/// The history of a part of the span.
pub(super) struct HistoryRow {
    /// Time of the day at the end, in UTC.
    pub(super) until: String,
    pub(super) hit_ratio: Figure,
    pub(super) hits: Figure,
    pub(super) misses: Figure,
    pub(super) stored: Figure,
    pub(super) evicted: Figure,
    pub(super) taken_in: Figure,
    pub(super) sent: Figure,
    pub(super) allocated: Figure,
    pub(super) lease_p99: Figure,
    pub(super) put_p99: Figure,
}

/// One event.
pub(super) struct EventRow {
    pub(super) sequence: u64,
    pub(super) name: &'static str,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) len: Figure,
    pub(super) note: &'static str,
}

/// Samples that one row is made of: five minutes, or an hour.
const fn samples_per_row(span: HistorySpan) -> usize {
    match span {
        HistorySpan::Hour => 60,
        HistorySpan::Day => 30,
    }
}

/// The rows of a span, newest first.
pub(super) fn history(context: &Context, span: HistorySpan) -> Vec<HistoryRow> {
    let samples = context.history.samples(span, 0.0);
    samples.rchunks(samples_per_row(span)).map(|part| history_row(&Sample::merged(part))).collect()
}

fn history_row(sample: &Sample) -> HistoryRow {
    let value = |name: &str| sample.get(Series::place(name));
    let whole = |name: &str| value(name).map(|value| value as u64);
    let count = |name: &str| Figure::of(whole(name), Figure::count);
    let bytes = |name: &str| Figure::of(whole(name), Figure::bytes);
    let [hits, misses, received, written] =
        ["hits", "misses", "received_bytes", "lane_written_bytes"].map(|n| whole(n).unwrap_or(0));
    HistoryRow {
        until: time_of_day(sample.at),
        hit_ratio: Figure::share(hits, hits + misses),
        hits: Figure::count(hits),
        misses: Figure::count(misses),
        stored: count("stored_objects"),
        evicted: count("evicted_objects"),
        taken_in: Figure::bytes(received + written),
        sent: bytes("sent_bytes"),
        allocated: bytes("allocated_bytes"),
        lease_p99: Figure::of(value("lease_p99_seconds"), Figure::seconds),
        put_p99: Figure::of(value("put_p99_seconds"), Figure::seconds),
    }
}

/// Hours, minutes and seconds in UTC of a time in seconds since 1970.
pub(super) fn time_of_day(at: f64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(at);
    let date = httpdate::fmt_http_date(time);
    // `Sun, 06 Nov 1994 08:49:37 GMT`, always of this form.
    date.split(' ').nth(4).unwrap_or_default().to_owned()
}

/// The latest events, newest first.
pub(super) fn events(context: &Context) -> Vec<EventRow> {
    context.engine.latest_events(EVENTS).into_iter().map(event_row).collect()
}

fn event_row(event: Event) -> EventRow {
    EventRow {
        sequence: event.sequence,
        name: events::name(event.kind),
        bucket: cut(event.bucket.as_str()),
        key: cut(event.key.as_str()),
        len: Figure::bytes(event.len.bytes()),
        note: match event.kind {
            EventKind::Evicted { copied: true } => "a tier below has it",
            EventKind::Evicted { copied: false } => "no tier below has it",
            _ => "",
        },
    }
}

/// A name, or its beginning.
fn cut(name: &str) -> String {
    let end = name.floor_char_boundary(NAME_LEN_MAX);
    if end == name.len() { name.to_owned() } else { format!("{}…", &name[..end]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = cut(&"ü".repeat(NAME_LEN_MAX));
        assert_eq!(long, format!("{}…", "ü".repeat(NAME_LEN_MAX / 2)));
    }

    #[test]
    fn times_are_of_the_day_in_utc() {
        assert_eq!(time_of_day(0.0), "00:00:00");
        assert_eq!(time_of_day(784_111_777.5), "08:49:37");
    }
}
