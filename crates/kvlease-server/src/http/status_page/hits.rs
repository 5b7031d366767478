//! Misses by reason, times to an answer, and leases by age.

use std::time::Duration;

use kvlease_engine::LeaseAges;
use kvlease_types::Miss;

use super::figure::Figure;
use crate::metrics::{Timed, Traffic};

/// Misses of one reason.
pub(super) struct MissRow {
    pub(super) reason: &'static str,
    pub(super) text: &'static str,
    pub(super) count: Figure,
}

/// Times to the answers of one kind of requests, since the start.
pub(super) struct LatencyRow {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) count: Figure,
    pub(super) quantiles: [Figure; 3],
}

/// Leases of one span of ages.
pub(super) struct AgeRow {
    pub(super) age: String,
    pub(super) leases: Figure,
}

/// Quantiles of a [`LatencyRow`].
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

pub(super) fn misses(traffic: &Traffic) -> Vec<MissRow> {
    let rows = Miss::ALL.iter().map(|miss| MissRow {
        reason: miss.name(),
        text: explanation(*miss),
        count: Figure::count(traffic.misses_by_reason[miss.index()]),
    });
    rows.collect()
}

/// The reason as operators see it; clients are told less.
const fn explanation(miss: Miss) -> &'static str {
    match miss {
        Miss::Absent => "never stored, removed, or evicted long ago",
        Miss::Evicted => "evicted lately: a larger arena would have kept it",
        Miss::Elsewhere => "in a tier below, and not loaded in time",
        Miss::Pending => "still being written",
        Miss::Corrupt => "bytes did not match the checksum",
        Miss::TooManyLeases => "a limit of live leases was reached",
        Miss::LeaseQuota => "a quota of live leases was used up",
        Miss::MemoryShort => "the catalog had no memory for a lease",
        Miss::NoRoom => "in a tier below, and the arena had no room",
    }
}

pub(super) fn latencies(traffic: &Traffic) -> Vec<LatencyRow> {
    let row = |timed: Timed| {
        let counts = &traffic.latencies[timed as usize];
        let quantile = |quantile| {
            let found = counts.quantile(quantile);
            Figure::of(found, |duration: Duration| Figure::seconds(duration.as_secs_f64()))
        };
        LatencyRow {
            name: timed.name(),
            what: match timed {
                Timed::Lease => "leases, over HTTP and the fast lane",
                Timed::Get => "objects sent over HTTP",
                Timed::Put => "uploads over HTTP, commits of the fast lane",
            },
            count: Figure::count(counts.total()),
            quantiles: QUANTILES.map(quantile),
        }
    };
    Timed::ALL.into_iter().map(row).collect()
}

pub(super) fn ages(ages: &LeaseAges) -> Vec<AgeRow> {
    let bounds = LeaseAges::BOUNDS.map(|bound| bound.as_secs());
    let age = |place: usize| match (place.checked_sub(1), bounds.get(place)) {
        (None, Some(end)) => format!("up to {end} s"),
        (Some(start), Some(end)) => format!("{} s to {end} s", bounds[start]),
        (_, None) => format!("above {} s", bounds[bounds.len() - 1]),
    };
    let rows = ages.counts.iter().enumerate();
    rows.map(|(place, count)| AgeRow { age: age(place), leases: Figure::count(*count) }).collect()
}
