//! Descriptions of what tiers have.

use kvlease_cache::ObjectInfo;
use kvlease_tier::{Answer, Page, Presence, Stat, TierError};
use tokio::time::{Instant, timeout_at};

use super::level::Level;
use crate::shared::Shared;

/// Reason why a tier did not answer a question.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Its breaker is open.
    #[error("the tier fails and is left alone for a while: see the daemon's log, and try again")]
    Broken,
    /// The caller's time was over.
    #[error("the tier did not answer in time: try again")]
    Late,
    /// The tier failed.
    #[error(transparent)]
    Failed(#[from] TierError),
}

/// Places of one object.
#[derive(Debug)]
pub struct Whereabouts {
    /// The object in the arena.
    pub memory: Option<ObjectInfo>,
    /// Answers of the tiers by their kinds, fastest first.
    pub tiers: Vec<(&'static str, Result<Option<Stat>, Unanswered>)>,
}

impl Shared {
    /// See [`Engine::stat_in_tiers`](crate::Engine::stat_in_tiers).
    pub(crate) async fn stat_in_tiers(
        &self,
        bucket: &str,
        key: &str,
        until: Instant,
    ) -> Option<(Stat, &'static str)> {
        if let Some((floor, stat)) = self.tiers.holders(bucket, key).next() {
            return Some((stat, floor.level.tier().kind()));
        }
        let asked = self.ask_tiers(bucket, &[key], 0, until).await;
        asked.found(0).map(|found| (found.stat, found.floor.level.tier().kind()))
    }

    /// See [`Engine::stat_everywhere`](crate::Engine::stat_everywhere).
    pub(crate) async fn stat_everywhere(
        &self,
        bucket: &str,
        key: &str,
        until: Instant,
    ) -> Whereabouts {
        let memory = self.state().catalog.stat(bucket, key);
        let mut tiers = Vec::new();
        for floor in self.tiers.floors() {
            let tier = floor.level.tier();
            let found = match tier.presence(bucket, key) {
                Presence::Here(stat) => Ok(Some(stat)),
                // The directory of a shared tier may be behind its store.
                Presence::Absent | Presence::Unknown => {
                    let found = floor.level.ask(until, tier.find(bucket, &[key])).await;
                    found.map(|found| found.into_iter().next().flatten())
                }
            };
            tiers.push((tier.kind(), found));
        }
        Whereabouts { memory, tiers }
    }

    /// See [`Engine::list_tier`](crate::Engine::list_tier).
    pub(crate) async fn list_tier(
        &self,
        kind: &str,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        limit: usize,
        until: Instant,
    ) -> Option<Result<Page, Unanswered>> {
        let level = &self.tiers.of_kind(kind)?.level;
        Some(level.ask(until, level.tier().list(bucket, prefix, from, limit)).await)
    }
}

impl Level {
    /// Asks a question of an operator, which waits until `until`. Only the tier's own limit counts as
    /// its failure: the operator may give up earlier.
    async fn ask<T>(&self, until: Instant, answer: Answer<'_, T>) -> Result<T, Unanswered> {
        if !self.admits(false) {
            return Err(Unanswered::Broken);
        }
        let answered = timeout_at(until, self.call(self.config.timeout, answer)).await;
        Ok(answered.map_err(|_| Unanswered::Late)??)
    }
}
