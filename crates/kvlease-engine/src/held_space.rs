//! Space that is given out before bytes are in it, and its limit.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use kvlease_types::ByteSize;

/// Sum of such space.
#[derive(Default, Debug)]
pub(crate) struct SpaceBudget(AtomicU64);

/// Part of the sum that one write has. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct HeldSpace {
    budget: Arc<SpaceBudget>,
    len: u64,
}

impl HeldSpace {
    pub(crate) fn none(budget: &Arc<SpaceBudget>) -> Self {
        Self { budget: Arc::clone(budget), len: 0 }
    }

    /// Takes `more` if the sum stays within `most`. Returns whether it does.
    pub(crate) fn try_take(&mut self, more: u64, most: ByteSize) -> bool {
        let within = |sum: u64| sum.checked_add(more).filter(|sum| *sum <= most.bytes());
        let taken = self.budget.0.fetch_update(Relaxed, Relaxed, within).is_ok();
        self.len += if taken { more } else { 0 };
        taken
    }

    /// Takes `more`, whatever the sum is.
    pub(crate) fn take(&mut self, more: u64) {
        self.budget.0.fetch_add(more, Relaxed);
        self.len += more;
    }

    /// Gives back what has bytes in it, or is not needed.
    pub(crate) fn give_back(&mut self, len: u64) {
        self.budget.0.fetch_sub(len, Relaxed);
        self.len -= len;
    }
}

impl SpaceBudget {
    pub(crate) fn is_free(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
}

impl Drop for HeldSpace {
    fn drop(&mut self) {
        self.give_back(self.len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_has_a_limit_and_ends_with_what_is_held() {
        let budget = Arc::new(SpaceBudget::default());
        let [mut one, mut other] = [(); 2].map(|()| HeldSpace::none(&budget));
        let most = ByteSize::new(10);
        assert!(one.try_take(6, most) && !other.try_take(5, most) && other.try_take(4, most));
        one.give_back(1);
        assert!(!other.try_take(2, most));
        other.take(2);
        drop(one);
        assert!(other.try_take(4, most));
        assert!(!budget.is_free());
        drop(other);
        assert!(budget.is_free());
    }
}
