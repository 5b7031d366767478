//! Memory of all transfers of a tier.

use std::sync::Arc;

use kvlease_types::ByteSize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Granularity of the budget: a permit of the semaphore stands for this many bytes.
const UNIT: u64 = 4096;

/// Bytes that the transfers of a tier may hold together. Requests are served in order.
///
/// A transfer asks for the memory of its parts in the order in which it is done with them. So the
/// first part of each transfer waits for no later one, and every transfer comes to its end.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    free: Arc<Semaphore>,
    units: u32,
}

/// Share of the budget; dropping it gives it back.
pub(crate) type Share = OwnedSemaphorePermit;

impl Budget {
    /// A budget of this size, and of at least one part.
    pub(crate) fn new(size: ByteSize, part_len: u64) -> Self {
        let units = size.bytes().max(part_len).div_ceil(UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32);
        Self { free: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Takes the memory for this many bytes, once it is free.
    pub(crate) async fn take(&self, bytes: u64) -> Share {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        let share = Arc::clone(&self.free).acquire_many_owned(units).await;
        share.expect("the semaphore is never closed")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_budget_is_kept() {
        let budget = Budget::new(ByteSize::kib(8), 4096);
        let (one, two) = (budget.take(4096).await, budget.take(1).await);
        let mut more = std::pin::pin!(budget.take(1));
        assert!(more.as_mut().now_or_never().is_none(), "more than the budget was given out");
        drop(one);
        let _three = more.await;
        drop(two);
        // More than there is at all takes everything.
        let budget = Budget::new(ByteSize::kib(1), 8192);
        drop(budget.take(u64::MAX).await);
    }
}
