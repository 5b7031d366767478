//! Descriptions of what tiers have.

use kvlease_tier::{Page, Presence, Stat, TierError};
use tokio::time::Instant;

use crate::shared::Shared;

impl Shared {
    /// See [`Engine::stat_in_tiers`](crate::Engine::stat_in_tiers).
    pub(crate) async fn stat_in_tiers(
        &self,
        bucket: &str,
        key: &str,
        until: Instant,
    ) -> Option<(Stat, &'static str)> {
        for (floor, presence) in self.tiers.holders(bucket, key) {
            if let Presence::Here(stat) = presence {
                return Some((stat, floor.level.tier().kind()));
            }
        }
        let asked = self.ask_tiers(bucket, &[key], 0, until).await;
        asked.found(0).map(|found| (found.stat, found.floor.level.tier().kind()))
    }

    /// See [`Engine::list_tier`](crate::Engine::list_tier).
    pub(crate) async fn list_tier(
        &self,
        kind: &str,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        limit: usize,
    ) -> Option<Result<Page, TierError>> {
        let level = &self.tiers.of_kind(kind)?.level;
        let page = level.tier().list(bucket, prefix, from, limit);
        Some(level.call(level.config.timeout, page).await)
    }
}
