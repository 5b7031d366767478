//! Watch over calls: each has to return within its limit and a tolerance.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Time beyond its limit after which a call counts as hanging: far more than a machine with few
/// processors takes, and less than the longest stop of a daemon.
pub(super) const TOLERANCE: Duration = Duration::from_secs(10);

/// Calls under way, by client.
#[derive(Default, Debug)]
pub(super) struct Watch(Mutex<BTreeMap<usize, Call>>);

#[derive(Clone, Debug)]
struct Call {
    what: &'static str,
    limit: Duration,
    begun: Instant,
    is_told: bool,
}

impl Watch {
    /// Result of a call of this client, and whether it was late although it was not told before.
    pub(super) fn over<T>(
        &self,
        client: usize,
        what: &'static str,
        limit: Duration,
        call: impl FnOnce() -> T,
    ) -> (T, Option<String>) {
        let begun = Instant::now();
        self.lock().insert(client, Call { what, limit, begun, is_told: false });
        let result = call();
        let call = self.lock().remove(&client);
        let late = call.filter(|call| !call.is_told && call.is_late());
        (result, late.map(|call| call.text(client)))
    }

    /// Calls that are late and were not told before.
    pub(super) fn late(&self) -> Vec<String> {
        let mut calls = self.lock();
        let late = calls.iter_mut().filter(|(_, call)| !call.is_told && call.is_late());
        late.map(|(client, call)| {
            call.is_told = true;
            call.text(*client)
        })
        .collect()
    }

    /// Number of calls that were told and still have not returned.
    pub(super) fn hanging(&self) -> usize {
        self.lock().values().filter(|call| call.is_told).count()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Call>> {
        // No section leaves the table half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    fn is_late(&self) -> bool {
        self.begun.elapsed() > self.limit + TOLERANCE
    }

    fn text(&self, client: usize) -> String {
        let (what, limit, took) = (self.what, self.limit, self.begun.elapsed());
        format!("a late call, client=`{client}` call=`{what}` limit=`{limit:?}` took=`{took:?}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_late_is_told_once() {
        let watch = Watch::default();
        let (result, late) = watch.over(0, "get", Duration::ZERO, || 7);
        assert_eq!((result, late), (7, None), "the tolerance is long");
        let begun = Instant::now() - TOLERANCE * 2;
        let call = Call { what: "put", limit: Duration::from_secs(1), begun, is_told: false };
        watch.lock().insert(3, call);
        assert_eq!((watch.late().len(), watch.hanging(), watch.late().len()), (1, 1, 0));
    }
}
