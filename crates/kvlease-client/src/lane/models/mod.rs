//! The protocols between threads in this module, in every order of their steps.
//!
//! They are the same files, over the checker's locks; what they lean on is stood in for here.

#![expect(clippy::duplicate_mod, reason = "each file once more, over other locks")]

use kvlease_testing::model::{Notify, oneshot};
use loom::sync;

mod batch;
mod connection;
#[path = "../link.rs"]
mod link;
#[path = "../renewals.rs"]
mod renewals;
mod renewing;
#[path = "../turns.rs"]
mod turns;
mod using;

mod time {
    //! Time in which nothing becomes due by itself.

    pub(super) async fn sleep_until(_: tokio::time::Instant) {
        std::future::pending().await
    }
}
