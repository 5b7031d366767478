//! Times of answers: buckets whose reads and look-ups are answered in whole steps of time.
//!
//! How long the daemon looks for an object tells where it was, and so how lately others used it. A bucket with
//! `answer_time_ms` has a step. An answer about its objects comes when the step is over within which it was
//! found, not before. So all that takes less than a step takes the same time: a miss, and a hit in memory or in
//! a tier. What takes longer tells the number of steps alone.

use std::{collections::HashMap, time::Duration};

use kvlease_api::Endpoint;
use kvlease_engine::BucketSet;
use kvlease_types::BucketName;
use tokio::time::{Instant, sleep_until};

use crate::config::Config;

/// Steps of buckets.
#[derive(Debug)]
pub(crate) struct AnswerTimes(HashMap<String, Duration>);

impl AnswerTimes {
    /// The steps of a configuration; `None` if no bucket has one.
    pub(crate) fn configured(config: &Config) -> Option<Self> {
        let times = config.answer_times.iter();
        let times: HashMap<_, _> =
            times.map(|(bucket, time)| (bucket.as_str().to_owned(), *time)).collect();
        (!times.is_empty()).then_some(Self(times))
    }

    /// The step of a bucket; `None` if its answers come at once.
    pub(crate) fn step(&self, bucket: &str) -> Option<Duration> {
        self.0.get(bucket).copied()
    }

    /// The step of a request over HTTP.
    pub(crate) fn step_of(
        &self,
        endpoint: Option<Endpoint>,
        bucket: Option<&BucketName>,
    ) -> Option<Duration> {
        let tells = endpoint.is_some_and(|endpoint| tells(endpoint) != Tells::Nothing);
        self.step(bucket?.as_str()).filter(|_| tells)
    }
}

/// Buckets whose objects are not in the published index: who reads by it makes no request that could wait.
pub(crate) fn left_out(config: &Config) -> BucketSet {
    BucketSet::Named(config.answer_times.keys().map(|bucket| bucket.as_str().to_owned()).collect())
}

/// Facts about an object that requests to an endpoint tell, beside whether it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tells {
    /// None.
    Nothing,
    /// Its place, by the time until the answer.
    ByTime,
    /// Its place, by the answer itself.
    InWords,
}

/// Facts that requests to an endpoint tell. It matches without a wildcard, so that a new endpoint does not
/// compile until it has a row.
pub(crate) const fn tells(endpoint: Endpoint) -> Tells {
    match endpoint {
        Endpoint::Get
        | Endpoint::Head
        | Endpoint::Acquire
        | Endpoint::Remove
        // It answers alike whether the object is in the arena, in such a bucket.
        | Endpoint::Report => Tells::ByTime,
        Endpoint::Locations | Endpoint::Tiers => Tells::InWords,
        // A listing is a right of its own, and has places and ages.
        Endpoint::List
        | Endpoint::Put
        | Endpoint::Release
        | Endpoint::Renew
        | Endpoint::Namespace
        | Endpoint::CreateNamespace
        | Endpoint::RemoveNamespace
        | Endpoint::GetShard
        | Endpoint::PutShard
        | Endpoint::RemoveShard
        | Endpoint::LatestSteps
        | Endpoint::ResetCheckpoints
        | Endpoint::Events
        | Endpoint::Buckets
        | Endpoint::Policy
        | Endpoint::SetPolicy
        | Endpoint::RemovePolicy
        | Endpoint::Stats
        | Endpoint::History
        | Endpoint::StatusPage
        | Endpoint::Asset
        | Endpoint::Health
        | Endpoint::Ready
        | Endpoint::Metrics
        | Endpoint::OpenApi => Tells::Nothing,
    }
}

/// The moment of an answer to a request that came at `started` and was found out `now`.
pub(crate) fn due(started: Instant, step: Duration, now: Instant) -> Instant {
    let took = now.saturating_duration_since(started).as_nanos();
    let steps = took.div_ceil(step.as_nanos().max(1)).max(1);
    started + step.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

/// Waits until an answer that was found out now may be given.
pub(crate) async fn wait(started: Instant, step: Duration) {
    sleep_until(due(started, step, Instant::now())).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    /// Time until the answer to a request that takes so long.
    async fn answered_after(took: Duration) -> Duration {
        let started = Instant::now();
        sleep(took).await;
        wait(started, STEP).await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_takes_less_than_a_step_takes_one_and_more_takes_whole_ones() {
        for (took, steps) in
            [(0, 1), (1, 1), (9, 1), (10, 1), (11, 2), (20, 2), (21, 3), (995, 100)]
        {
            let found = answered_after(Duration::from_millis(took)).await;
            assert_eq!(found, steps * STEP, "{took} ms");
        }
    }

    #[test]
    fn a_step_is_that_of_the_bucket_and_of_requests_that_tell_of_objects() {
        let bucket = BucketName::new("shared").unwrap();
        let other = BucketName::new("other").unwrap();
        assert!(AnswerTimes::configured(&Config::default()).is_none());
        let config = Config { answer_times: [(bucket.clone(), STEP)].into(), ..Config::default() };
        let times = AnswerTimes::configured(&config).unwrap();
        for endpoint in [Endpoint::Get, Endpoint::Head, Endpoint::Acquire, Endpoint::Locations] {
            assert_eq!(times.step_of(Some(endpoint), Some(&bucket)), Some(STEP), "{endpoint:?}");
            assert_eq!(times.step_of(Some(endpoint), Some(&other)), None, "{endpoint:?}");
            assert_eq!(times.step_of(Some(endpoint), Some(&BucketName::empty())), None);
        }
        assert_eq!(times.step_of(Some(Endpoint::Put), Some(&bucket)), None);
        assert_eq!(times.step_of(None, Some(&bucket)), None);
        assert_eq!(left_out(&config), "shared".parse().unwrap());
    }
}
