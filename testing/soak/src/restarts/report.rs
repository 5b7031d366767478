//! Report of a campaign.

use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use serde::{Deserialize, Serialize};

use super::{
    audit::Audit,
    common::Common,
    spans::{Spans, Summary},
};
use crate::{
    counts::{Count, named},
    leftover::Leftover,
    verdict,
};

/// Report of a campaign.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct RestartsReport {
    /// Seed, which replays keys, lengths, choices and the times of kills.
    pub seed: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Number of kills.
    pub kills: u64,
    /// Kills a moment after the start, whether the daemon served by then or not.
    pub kills_early: u64,
    /// Kills in an arena too small for all objects while no client stored: then the number of
    /// evictions was known.
    pub kills_held: u64,
    /// Kills after which clients went on before the audit.
    pub kills_unaudited: u64,
    /// Number of new segments.
    pub segments: u64,
    /// Objects that restarted daemons took over.
    pub restored: u64,
    /// Most of them at one start.
    pub restored_max: u64,
    /// Objects that were found after a kill, with every byte right.
    pub found: u64,
    /// Objects that were evicted, as far as the daemon could still count them.
    pub evictions: u64,
    /// Objects that had been stored and were not there, in arenas too small for all.
    pub missing: u64,
    /// Stores without an answer at a kill: there, not there.
    pub stores_cut_off: [u64; 2],
    /// Removals without an answer at a kill: done, not done.
    pub removals_cut_off: [u64; 2],
    /// Reads by the index alone, by readers that read all the time, with every byte right.
    pub index_reads: u64,
    /// Of these, reads while the daemon was dead or started.
    pub index_reads_while_dead: u64,
    /// Keys that the index did not name to them.
    pub index_unnamed: u64,
    /// Objects that connectors found in the index meanwhile.
    pub index_hits_of_connectors: u64,
    /// From the kill to the start of the process, in milliseconds like all that follow.
    pub kill_to_start: Summary,
    /// From the start of the process to 200 from `/readyz`.
    pub start_to_ready: Summary,
    /// From the start of the process to the first object read under a lease.
    pub start_to_read: Summary,
    /// From the kill to that object.
    pub kill_to_read: Summary,
    /// Recovery of objects, as the daemon measures it.
    pub recovery: Summary,
    /// Counts of the clients.
    pub counts: BTreeMap<String, u64>,
    /// Number of faults.
    pub fault_count: u64,
    /// First of the faults.
    pub fault_texts: Vec<String>,
}

/// Report in the making.
#[derive(Default, Debug)]
pub(super) struct Findings {
    pub(super) report: RestartsReport,
    pub(super) times: Times,
    counts: Vec<u64>,
}

#[derive(Default, Debug)]
pub(super) struct Times {
    pub(super) kill_to_start: Spans,
    pub(super) start_to_ready: Spans,
    pub(super) start_to_read: Spans,
    pub(super) kill_to_read: Spans,
    pub(super) recovery: Spans,
}

impl Findings {
    pub(super) fn add_audit(&mut self, audit: &Audit) {
        let report = &mut self.report;
        report.found += audit.found;
        for place in 0..2 {
            report.stores_cut_off[place] += audit.stores[place];
            report.removals_cut_off[place] += audit.removals[place];
        }
    }

    /// Adds the counts and faults of one segment, and everything that was left there at its end.
    pub(super) fn add_segment(&mut self, common: &Common, end: Option<(Leftover, Option<i32>)>) {
        if let Some((leftover, status)) = end {
            if leftover != Leftover::default() {
                common.faults.add(format!("the daemon is not empty at the end: {leftover:?}"));
            }
            if status != Some(0) {
                common.faults.add(format!("exit status of the daemon: {status:?}"));
            }
        }
        self.counts.resize(Count::ALL.len(), 0);
        for (total, count) in self.counts.iter_mut().zip(common.counts.all()) {
            *total += count;
        }
        let by_index = |count: &AtomicU64| count.load(Relaxed);
        self.report.index_reads += by_index(&common.by_index.reads);
        self.report.index_reads_while_dead += by_index(&common.by_index.while_dead);
        self.report.index_unnamed += by_index(&common.by_index.unnamed);
        self.report.index_hits_of_connectors += by_index(&common.by_index.connector_hits);
        let (count, texts) = common.faults.take();
        self.report.segments += 1;
        self.report.fault_count += count;
        self.report.fault_texts.extend(texts);
    }

    /// Adds the findings of other daemons.
    pub(super) fn add(&mut self, other: Self) {
        let Self { report, times, counts } = other;
        self.report.add(report);
        self.times.add(times);
        self.counts.resize(Count::ALL.len(), 0);
        for (total, count) in self.counts.iter_mut().zip(counts) {
            *total += count;
        }
    }

    pub(super) fn report(self) -> RestartsReport {
        let Self { times, counts, report } = self;
        RestartsReport {
            kill_to_start: times.kill_to_start.summary(),
            start_to_ready: times.start_to_ready.summary(),
            start_to_read: times.start_to_read.summary(),
            kill_to_read: times.kill_to_read.summary(),
            recovery: times.recovery.summary(),
            counts: named(&counts),
            ..report
        }
    }
}

impl Times {
    fn add(&mut self, other: Self) {
        self.kill_to_start.add_all(other.kill_to_start);
        self.start_to_ready.add_all(other.start_to_ready);
        self.start_to_read.add_all(other.start_to_read);
        self.kill_to_read.add_all(other.kill_to_read);
        self.recovery.add_all(other.recovery);
    }
}

impl RestartsReport {
    /// Adds what is counted on the way.
    fn add(&mut self, other: Self) {
        let pairs = [
            (&mut self.kills, other.kills),
            (&mut self.kills_early, other.kills_early),
            (&mut self.kills_held, other.kills_held),
            (&mut self.kills_unaudited, other.kills_unaudited),
            (&mut self.segments, other.segments),
            (&mut self.restored, other.restored),
            (&mut self.found, other.found),
            (&mut self.evictions, other.evictions),
            (&mut self.missing, other.missing),
            (&mut self.index_reads, other.index_reads),
            (&mut self.index_reads_while_dead, other.index_reads_while_dead),
            (&mut self.index_unnamed, other.index_unnamed),
            (&mut self.index_hits_of_connectors, other.index_hits_of_connectors),
            (&mut self.fault_count, other.fault_count),
        ];
        for (total, more) in pairs {
            *total += more;
        }
        for place in 0..2 {
            self.stores_cut_off[place] += other.stores_cut_off[place];
            self.removals_cut_off[place] += other.removals_cut_off[place];
        }
        self.restored_max = self.restored_max.max(other.restored_max);
        self.fault_texts.extend(other.fault_texts);
    }

    /// One of the counts.
    pub fn count(&self, count: Count) -> u64 {
        self.counts.get(count.name()).copied().unwrap_or(0)
    }

    /// Faults, in one line each. Durations are for people to judge.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.fault_texts.clone();
        let more = self.fault_count - faults.len() as u64;
        if more > 0 {
            faults.push(format!("further faults: {more}"));
        }
        if self.found == 0 {
            faults.push("nothing was ever found after a kill".to_owned());
        }
        faults
    }
}

impl fmt::Display for RestartsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: &dyn fmt::Display| verdict::row(f, name, value);
        let both = |[done, not]: [u64; 2]| format!("{done}, {not}");
        row("seed", &self.seed)?;
        row("seconds", &format_args!("{:.1}", self.seconds))?;
        row("kills", &self.kills)?;
        row("  within moments of the start", &self.kills_early)?;
        row("  with known evictions", &self.kills_held)?;
        row("  after which clients went first", &self.kills_unaudited)?;
        row("segments", &self.segments)?;
        row("objects taken over", &self.restored)?;
        row("  at one start, at most", &self.restored_max)?;
        row("objects found after a kill, every byte right", &self.found)?;
        row("objects evicted", &self.evictions)?;
        row("objects missing where some had to be evicted", &self.missing)?;
        row("stores cut off by a kill: there, not there", &both(self.stores_cut_off))?;
        row("removals cut off by a kill: done, not done", &both(self.removals_cut_off))?;
        row("reads by the index alone, all the time, every byte right", &self.index_reads)?;
        row("  while the daemon was dead or started", &self.index_reads_while_dead)?;
        row("  of keys that the index did not name", &self.index_unnamed)?;
        row("objects that connectors found in the index", &self.index_hits_of_connectors)?;
        for count in Count::ALL {
            if self.count(*count) > 0 {
                row(count.about(), &self.count(*count))?;
            }
        }
        row("kill to start of the process, ms: p50, max", &self.kill_to_start)?;
        row("start to 200 from /readyz, ms: p50, max", &self.start_to_ready)?;
        row("start to first object read, ms: p50, max", &self.start_to_read)?;
        row("kill to first object read, ms: p50, max", &self.kill_to_read)?;
        row("taking objects over, ms: p50, max", &self.recovery)?;
        verdict::verdict(f, &self.faults())
    }
}
