//! The tiers of the page: the arena and what is below it.

use kvlease_api::{MEMORY, StatsReply, TierState, Total};

use super::figure::Figure;

/// One tier.
pub(super) struct TierRow {
    pub(super) tier: String,
    pub(super) place: String,
    pub(super) state: &'static str,
    pub(super) objects: Figure,
    pub(super) used: Figure,
    pub(super) capacity: Figure,
    /// Used part of the capacity, 0 to 1; none without a limit.
    pub(super) share: Option<f64>,
    pub(super) loaded: Figure,
    pub(super) queued: Figure,
}

/// A part of the arena.
pub(super) struct SpaceRow {
    pub(super) part: &'static str,
    pub(super) bytes: Figure,
    pub(super) share: Figure,
}

/// The arena, then the tiers below it.
pub(super) fn tiers(stats: &StatsReply) -> Vec<TierRow> {
    let arena = TierRow {
        tier: MEMORY.to_owned(),
        place: stats.shared_memory_name.clone(),
        state: match stats.populated < stats.capacity {
            true => "being populated",
            false => "in use",
        },
        objects: Figure::count(stats.objects),
        used: Figure::bytes(stats.allocated),
        capacity: Figure::bytes(stats.capacity),
        share: share(stats.allocated, stats.capacity),
        loaded: Figure::none(),
        queued: Figure::none(),
    };
    std::iter::once(arena).chain(stats.tiers.iter().map(below)).collect()
}

fn below(tier: &TierState) -> TierRow {
    let state = match (tier.broken, tier.slow) {
        (true, _) => "left alone: it fails",
        (_, true) => "loads left out: slow",
        _ => "in use",
    };
    let loaded = tier.totals.get("hits").map(|total| match *total {
        Total::Count(count) => Figure::count(count),
        Total::Seconds(seconds) => Figure::seconds(seconds),
    });
    TierRow {
        tier: tier.tier.clone(),
        place: tier.place.clone(),
        state,
        objects: Figure::of(tier.objects, Figure::count),
        used: Figure::of(tier.used, Figure::bytes),
        capacity: Figure::of(tier.capacity, Figure::bytes),
        share: tier.used.zip(tier.capacity).and_then(|(used, capacity)| share(used, capacity)),
        loaded: loaded.unwrap_or_else(Figure::none),
        queued: Figure::count(tier.queued),
    }
}

fn share(used: u64, capacity: u64) -> Option<f64> {
    (capacity > 0).then(|| used as f64 / capacity as f64)
}

/// The parts of the arena, which add up to it.
pub(super) fn space(stats: &StatsReply) -> Vec<SpaceRow> {
    let parts = [
        ("objects", stats.allocated),
        ("pending objects", stats.writing),
        ("quarantine", stats.quarantined),
        ("free", stats.free),
        ("not populated yet", stats.capacity.saturating_sub(stats.populated)),
    ];
    let row = |(part, bytes)| SpaceRow {
        part,
        bytes: Figure::bytes(bytes),
        share: Figure::share(bytes, stats.capacity),
    };
    parts.into_iter().map(row).collect()
}
