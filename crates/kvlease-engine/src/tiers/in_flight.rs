//! Names of objects that are on their way to a tier.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard},
};

use kvlease_tier::Name;
use tokio::sync::Notify;

/// Names that are being stored in one tier, and which of them were removed meanwhile: a removed
/// object must not come back with the end of its store.
#[derive(Default, Debug)]
pub(crate) struct InFlight {
    /// Whether each was removed.
    names: Mutex<HashMap<Name, bool>>,
    ended: Notify,
}

/// A name on its way. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct UnderWay {
    names: Arc<InFlight>,
    name: Name,
}

impl InFlight {
    /// Begins a store of this name; `None` while one is under way.
    pub(crate) fn begin(self: &Arc<Self>, name: &Name) -> Option<UnderWay> {
        match self.lock().entry(name.clone()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(vacant) => {
                vacant.insert(false);
                Some(UnderWay { names: Arc::clone(self), name: name.clone() })
            }
        }
    }

    /// Marks a name as removed if it is under way.
    pub(crate) fn remove(&self, name: &Name) {
        if let Some(removed) = self.lock().get_mut(name) {
            *removed = true;
        }
    }

    /// Whether the name is under way and was removed: the tier does not have it.
    pub(crate) fn is_removed(&self, name: &Name) -> bool {
        self.lock().get(name).copied().unwrap_or_default()
    }

    /// Waits until the name is not under way.
    pub(crate) async fn ended(&self, name: &Name) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // From here on an end is noticed.
            ended.as_mut().enable();
            if !self.lock().contains_key(name) {
                return;
            }
            ended.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, bool>> {
        self.names.lock().expect("no thread panics while holding it")
    }
}

impl UnderWay {
    /// Whether the name was removed since the store began.
    pub(crate) fn is_removed(&self) -> bool {
        self.names.is_removed(&self.name)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.names.lock().remove(&self.name);
        self.names.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use kvlease_types::{BucketName, Key};

    use super::*;

    #[tokio::test]
    async fn a_name_is_under_way_once_and_a_removal_waits_for_its_end() {
        let names = Arc::<InFlight>::default();
        let name = Name {
            bucket: BucketName::new("b").expect("a name"),
            key: Key::new("k").expect("a name"),
        };
        names.ended(&name).await;
        names.remove(&name);
        let under_way = names.begin(&name).expect("it is not under way");
        assert!(names.begin(&name).is_none() && !under_way.is_removed());
        names.remove(&name);
        assert!(under_way.is_removed() && names.is_removed(&name));
        let waiting = Arc::clone(&names);
        let of = name.clone();
        let ended = tokio::spawn(async move { waiting.ended(&of).await });
        tokio::task::yield_now().await;
        assert!(!ended.is_finished());
        drop(under_way);
        ended.await.expect("it does not panic");
        assert!(!names.is_removed(&name));
    }
}
