//! Names of objects that are on their way to a tier.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

use kvlease_tier::Name;
use tokio::sync::Notify;

/// Names under way, with what each removed one is to be told.
type Names = HashMap<Name, Option<Arc<Leftover>>>;

/// Names that are being stored in one tier, and which of them were removed meanwhile: a removed
/// object must not come back with the end of its store.
#[derive(Default, Debug)]
pub(crate) struct InFlight {
    names: Mutex<Names>,
    changed: Notify,
}

/// Whether an object that was removed on its way was stored, and could not be removed again.
#[derive(Default, Debug)]
pub(crate) struct Leftover(AtomicBool);

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
                vacant.insert(None);
                Some(UnderWay { names: Arc::clone(self), name: name.clone() })
            }
        }
    }

    /// Marks a name as removed if it is under way. Once that [ended](Self::ended), the answer tells whether it is left.
    pub(crate) fn remove(&self, name: &Name) -> Option<Arc<Leftover>> {
        let mut names = self.lock();
        let leftover = Arc::clone(names.get_mut(name)?.get_or_insert_default());
        self.changed.notify_waiters();
        Some(leftover)
    }

    /// Whether the name is under way and was removed: the tier does not have it.
    pub(crate) fn is_removed(&self, name: &Name) -> bool {
        self.lock().get(name).is_some_and(Option::is_some)
    }

    /// Waits until the name is not under way.
    pub(crate) async fn ended(&self, name: &Name) {
        self.until(|names| !names.contains_key(name)).await;
    }

    async fn until(&self, is_so: impl Fn(&Names) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on a change is noticed.
            changed.as_mut().enable();
            if is_so(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().expect("no thread panics while holding it")
    }
}

impl Leftover {
    /// Whether the tier has the object all the same.
    pub(crate) fn is_left(&self) -> bool {
        self.0.load(Acquire)
    }
}

impl UnderWay {
    /// Whether the name was removed since the store began.
    pub(crate) fn is_removed(&self) -> bool {
        self.names.is_removed(&self.name)
    }

    /// Waits until it was removed.
    pub(crate) async fn removed(&self) {
        self.names.until(|names| names.get(&self.name).is_some_and(Option::is_some)).await;
    }

    /// Notes that the tier has it all the same.
    pub(crate) fn note_left(&self) {
        if let Some(Some(leftover)) = self.names.lock().get(&self.name) {
            leftover.0.store(true, Release);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.names.lock().remove(&self.name);
        self.names.changed.notify_waiters();
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
        assert!(names.remove(&name).is_none());
        let under_way = names.begin(&name).expect("it is not under way");
        assert!(names.begin(&name).is_none() && !under_way.is_removed());
        let leftover = names.remove(&name).expect("it is under way");
        assert!(under_way.is_removed() && names.is_removed(&name));
        let waiting = Arc::clone(&names);
        let of = name.clone();
        let ended = tokio::spawn(async move { waiting.ended(&of).await });
        tokio::task::yield_now().await;
        assert!(!ended.is_finished());
        assert!(!leftover.is_left());
        under_way.note_left();
        drop(under_way);
        assert!(leftover.is_left());
        ended.await.expect("it does not panic");
        assert!(!names.is_removed(&name));
    }
}
