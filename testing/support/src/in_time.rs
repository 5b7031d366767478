//! Work that has to be done before a time limit of the product.

use std::time::{Duration, Instant};

/// Outcome of work that took less than `limit`. Work that the machine held up for longer is done again.
pub async fn in_time<T>(limit: Duration, work: impl AsyncFn() -> T) -> T {
    loop {
        let started = Instant::now();
        let outcome = work().await;
        if started.elapsed() < limit {
            return outcome;
        }
    }
}
