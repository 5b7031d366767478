//! State of the screen: the last samples of all nodes, their order, the chosen one.

use std::cmp::Ordering;

use kvlease_client::{ByteSize, human_size};

use super::rates::Rates;
use crate::{
    nodes::{Sample, State},
    text::{optional, printable},
};

/// Columns of the table. The first is the node's URL.
pub(super) const COLUMNS: [&str; 10] = [
    "node",
    "state",
    "memory",
    "objects",
    "hits",
    "asked/s",
    "stored/s",
    "evicted/s",
    "leases",
    "requests/s",
];

/// Order of the rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Order {
    pub(super) column: usize,
    pub(super) is_descending: bool,
}

/// Nodes as they are shown.
pub(super) struct Board {
    rows: Vec<Row>,
    order: Order,
    /// Number of the chosen node.
    chosen: Option<usize>,
}

/// One node.
pub(super) struct Row {
    pub(super) url: String,
    pub(super) last: Option<Sample>,
    pub(super) rates: Option<Rates>,
}

impl Board {
    pub(super) fn new(urls: impl IntoIterator<Item = String>) -> Self {
        let rows: Vec<_> =
            urls.into_iter().map(|url| Row { url, last: None, rates: None }).collect();
        let chosen = (!rows.is_empty()).then_some(0);
        Self { rows, order: Order { column: 0, is_descending: false }, chosen }
    }

    /// Takes a sample of the node with this number.
    pub(super) fn take(&mut self, node: usize, sample: Sample) {
        let row = &mut self.rows[node];
        row.rates = row.last.as_ref().and_then(|earlier| Rates::between(earlier, &sample));
        row.last = Some(sample);
    }

    /// Nodes with their numbers, in their order.
    pub(super) fn rows(&self) -> Vec<(usize, &Row)> {
        let mut rows: Vec<_> = self.rows.iter().enumerate().collect();
        let Order { column, is_descending } = self.order;
        rows.sort_by(|(_, one), (_, other)| {
            let order = one.compare(other, column);
            if is_descending { order.reverse() } else { order }
        });
        rows
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// Number of the chosen node.
    pub(super) fn chosen(&self) -> Option<usize> {
        self.chosen
    }

    /// The chosen node.
    pub(super) fn chosen_row(&self) -> Option<&Row> {
        self.rows.get(self.chosen?)
    }

    /// Chooses the node that is this number of rows further down.
    pub(super) fn choose(&mut self, further: isize) {
        let rows: Vec<usize> = self.rows().iter().map(|(number, _)| *number).collect();
        let Some(last) = rows.len().checked_sub(1) else { return };
        let at = rows.iter().position(|number| Some(*number) == self.chosen).unwrap_or(0);
        self.chosen = Some(rows[at.saturating_add_signed(further).min(last)]);
    }

    /// Sorts by the next column: names upwards, figures downwards.
    pub(super) fn sort_by_next(&mut self) {
        let column = (self.order.column + 1) % COLUMNS.len();
        self.order = Order { column, is_descending: column > 0 };
    }

    /// Turns the order round.
    pub(super) fn turn_order(&mut self) {
        self.order.is_descending = !self.order.is_descending;
    }
}

impl Row {
    /// Cells of the row.
    pub(super) fn cells(&self) -> [String; COLUMNS.len()] {
        let size = |bytes: f64| human_size(ByteSize::new(bytes as u64));
        let stats = self.last.as_ref().and_then(|sample| sample.stats.as_ref());
        let of = |show: &dyn Fn(&kvlease_client::StatsReply) -> String| {
            stats.map_or_else(|| "-".to_owned(), show)
        };
        let rate = |rate: fn(&Rates) -> f64| optional(self.rates.as_ref().map(rate), 0);
        let ratio = self.rates.and_then(|rates| rates.hit_ratio());
        [
            printable(&self.url),
            self.word().to_owned(),
            of(&|stats| {
                let part = stats.allocated as f64 * 100.0 / stats.capacity.max(1) as f64;
                format!("{part:.0}% of {}", size(stats.capacity as f64))
            }),
            of(&|stats| stats.objects.to_string()),
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.1}%", ratio * 100.0)),
            rate(|rates| rates.hits + rates.misses),
            self.rates.map_or_else(|| "-".to_owned(), |rates| size(rates.stored)),
            rate(|rates| rates.evictions),
            of(&|stats| stats.leases.to_string()),
            rate(|rates| rates.requests),
        ]
    }

    /// Its state in one word.
    pub(super) fn word(&self) -> &'static str {
        self.last.as_ref().map_or("asked", |sample| sample.state.word())
    }

    /// Whether it is known not to serve.
    pub(super) fn is_out(&self) -> bool {
        self.last.as_ref().is_some_and(|sample| sample.state != State::Ready)
    }

    fn compare(&self, other: &Self, column: usize) -> Ordering {
        match column {
            0 => self.url.cmp(&other.url),
            1 => self.word().cmp(other.word()),
            _ => self.figure(column).total_cmp(&other.figure(column)),
        }
    }

    /// Value that a column is sorted by; less than any other without one.
    fn figure(&self, column: usize) -> f64 {
        let stats = self.last.as_ref().and_then(|sample| sample.stats.as_ref());
        let rates = self.rates;
        let figure = match column {
            2 => stats.map(|stats| stats.allocated as f64 / stats.capacity.max(1) as f64),
            3 => stats.map(|stats| stats.objects as f64),
            4 => rates.and_then(|rates| rates.hit_ratio()),
            5 => rates.map(|rates| rates.hits + rates.misses),
            6 => rates.map(|rates| rates.stored),
            7 => rates.map(|rates| rates.evictions),
            8 => stats.map(|stats| stats.leases as f64),
            _ => rates.map(|rates| rates.requests),
        };
        figure.unwrap_or(-1.0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;
    use crate::metrics::Metrics;

    /// Sample of a daemon of this epoch.
    pub(in crate::top) fn sample(epoch: &str, hits: u64, misses: u64, metrics: &str) -> Sample {
        let stats = json!({
            "version": "0.1.0", "epoch": epoch, "shared_memory_name": "s", "eviction": "lru",
            "uptime_s": 1.0, "capacity": 1000, "populated": 1000, "free": 500, "stored": 400,
            "allocated": 500, "writing": 0, "quarantined": 0, "largest_free": 500,
            "objects": hits, "writes": 0, "leases": 2, "oldest_lease_s": 0.5,
            "catalog_memory": 1, "catalog_memory_max": 2, "hits": hits, "misses": misses,
            "leases_expired": 0, "evictions": 0, "buckets": []
        });
        Sample {
            taken: Instant::now(),
            state: State::Ready,
            stats: Some(serde_json::from_value(stats).unwrap()),
            metrics: Metrics::parse(metrics),
        }
    }

    #[test]
    fn rows_are_sorted_and_one_that_is_down_comes_last() {
        let mut board = Board::new(["a", "b", "c"].map(str::to_owned));
        board.take(0, sample("1", 1, 0, ""));
        board.take(1, sample("2", 9, 0, ""));
        let down = State::Down("no answer".to_owned());
        board.take(2, Sample { state: down, stats: None, ..sample("3", 0, 0, "") });
        let urls = |board: &Board| -> String {
            board.rows().iter().map(|(_, row)| row.url.as_str()).collect()
        };
        assert_eq!(urls(&board), "abc");
        (0..3).for_each(|_| board.sort_by_next());
        assert_eq!((COLUMNS[board.order().column], urls(&board)), ("objects", "bac".to_owned()));
        board.turn_order();
        assert_eq!(urls(&board), "cab");
        let cells = board.rows()[0].1.cells();
        assert_eq!(cells[..4], ["c", "down", "-", "-"]);
        board.take(2, sample("4", 3, 0, ""));
        assert_eq!(board.rows[2].cells()[..4], ["c", "ready", "50% of 1000B", "3"]);
    }
}
