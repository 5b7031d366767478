//! Lessons of all owners: when their objects come back, each learned from its own alone.

use super::{super::per_owner::PerOwner, departed::Departed, last_use::Use, returns::Returns};

/// Experience with the objects of one owner.
#[derive(Default, Debug)]
pub(super) struct Lesson {
    /// Objects that it has.
    objects: usize,
    departed: Departed,
    returns: Returns,
}

/// See the module.
#[derive(Default, Debug)]
pub(super) struct Lessons(PerOwner<Lesson>);

impl Lessons {
    /// Gives a class without objects an owner.
    pub(super) fn assign(&mut self, class: u8, owner: u8) {
        self.0.assign(class, owner);
    }

    /// The lesson of a class.
    pub(super) fn of(&self, class: u8) -> &Lesson {
        self.0.of(class)
    }

    /// An object of a class comes, to a cache of this number of slots.
    pub(super) fn enter(&mut self, class: u8, hash: u64, slots: usize) -> Use {
        let is_shared = self.0.is_shared();
        let lesson = self.0.of_mut(class);
        lesson.objects += 1;
        if is_shared {
            lesson.fit();
        } else {
            lesson.departed.grow(slots);
        }
        match lesson.departed.take(hash) {
            Some(last) => lesson.returns.again(last),
            None => lesson.returns.first(),
        }
    }

    /// An object of a class comes back.
    pub(super) fn again(&mut self, class: u8, last: Use) -> Use {
        self.0.of_mut(class).returns.again(last)
    }

    /// An object of a class is gone, and may come back unnoticed.
    pub(super) fn lose(&mut self, class: u8, last: Use) {
        let lesson = self.leave(class);
        lesson.returns.lose(last);
    }

    /// An object of a class was evicted.
    pub(super) fn depart(&mut self, class: u8, hash: u64, last: Use) {
        let lesson = self.leave(class);
        if let Some(replaced) = lesson.departed.insert(hash, last) {
            lesson.returns.lose(replaced);
        }
    }

    /// Asserts that objects of these classes, and evicted ones, are watched by their owners.
    pub(super) fn check(&self, classes: impl Iterator<Item = u8>) {
        for (lesson, objects) in self.0.count(classes) {
            assert_eq!(lesson.objects, objects, "an owner knows how many objects it has");
            let watched = (objects + lesson.departed.len()) as u64;
            assert_eq!(
                lesson.returns.waiting(),
                watched,
                "those here and evicted ones are watched"
            );
        }
    }

    /// Counts an object no more. Where there are several owners, each remembers in proportion to what it has: so
    /// no other one makes it forget, and all together take as much memory as one would.
    fn leave(&mut self, class: u8) -> &mut Lesson {
        let is_shared = self.0.is_shared();
        let lesson = self.0.of_mut(class);
        lesson.objects -= 1;
        if is_shared {
            lesson.fit();
        }
        lesson
    }
}

impl Lesson {
    /// Expected returns for each use of the owner's objects that the object is kept.
    pub(super) fn density(&self, last: Use) -> f64 {
        self.returns.density(last)
    }

    fn fit(&mut self) {
        let Self { objects, departed, returns } = self;
        departed.fit(*objects, |last| returns.lose(last));
    }
}
