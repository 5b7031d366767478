//! History of the daemon's figures: samples of the last hour and of the last day, in a bounded memory.
//!
//! A sample is a few loads of counters and one look at the catalog, however many clients look at the
//! history.

mod figures;
mod ring;
mod sample;
mod series;

use std::{
    sync::Mutex,
    time::{Instant, SystemTime},
};

use kvlease_api::HistorySpan;

pub(crate) use figures::Figures;
use ring::Ring;
use sample::Reading;
pub(crate) use sample::Sample;
pub(crate) use series::{SERIES, Series};

/// Samples of each span.
#[derive(Debug)]
pub(crate) struct History {
    started: Instant,
    /// The start in seconds since 1970.
    started_at: f64,
    /// By the places of [`HistorySpan::ALL`].
    rings: Mutex<[Ring; HistorySpan::ALL.len()]>,
}

impl History {
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            started: Instant::now(),
            started_at: since.map_or(0.0, |since| since.as_secs_f64()),
            rings: Mutex::new(HistorySpan::ALL.map(Ring::new)),
        }
    }

    /// The time in seconds since 1970, to the millisecond. It rises, whatever the machine's clock is set to
    /// meanwhile.
    pub(crate) fn now(&self) -> f64 {
        let now = self.started_at + self.started.elapsed().as_secs_f64();
        (now * 1_000.0).round() / 1_000.0
    }

    /// Takes a sample into every span whose time has come, at each interval of the shortest.
    pub(crate) fn record(&self, figures: &Figures) {
        let reading = Reading::of(figures);
        let mut rings = self.rings.lock().expect(POISONED);
        rings.iter_mut().for_each(|ring| ring.tick(self.now(), &reading));
    }

    /// The samples of a span behind a time, oldest first.
    pub(crate) fn samples(&self, span: HistorySpan, since: f64) -> Vec<Sample> {
        let place = HistorySpan::ALL.iter().position(|known| *known == span);
        let rings = self.rings.lock().expect(POISONED);
        rings[place.expect("all spans have a ring")].samples(since)
    }
}

const POISONED: &str = "a panic ends the process, so no thread meets a poisoned lock";
