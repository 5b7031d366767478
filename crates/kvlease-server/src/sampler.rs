//! The task that takes the samples of the history.

use std::{sync::Arc, time::Duration};

use kvlease_api::HistorySpan;
use tokio::time::{MissedTickBehavior, interval};

use crate::{context::Context, history::Figures};

/// Takes samples until it is aborted.
pub(crate) async fn sample(context: Arc<Context>) {
    let mut ticks = interval(Duration::from_secs(HistorySpan::Hour.interval_s()));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        context.history.record(&Figures::of(&context.engine, &context.metrics));
    }
}
