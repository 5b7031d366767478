//! Memory that connections gave back, on its way to the system.

use std::{sync::Arc, time::Duration};

use kvlease_sys::trim_heap;
use tokio::{task::spawn_blocking, time::sleep};

use crate::{context::Context, sizing::HTTP_CONNECTION};

/// How often the daemon looks whether connections hold much less than before.
const TURN: Duration = Duration::from_secs(5);

/// How much less they have to hold: less is not worth the work of the allocator.
const WORTHWHILE: u64 = 8 << 20;

/// Gives the heap's free memory back to the system whenever connections hold much less than they did.
pub(crate) async fn trim(context: Arc<Context>) {
    let mut most = 0;
    loop {
        sleep(TURN).await;
        // The most of this turn: a load that comes and goes within it keeps its memory.
        let places: u64 = context.all().map(|arena| arena.metrics.places()).sum();
        let places = places * HTTP_CONNECTION;
        let held = places + context.memory.take_peak();
        if held + WORTHWHILE <= most {
            tracing::debug!(held, most, "connections hold less: trimming the heap");
            // Only a panic makes it fail, which ends the process.
            let _ = spawn_blocking(trim_heap).await;
            most = held;
        }
        most = most.max(held);
    }
}
