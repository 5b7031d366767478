//! Returns of objects: how likely an object comes back, and how long that takes.

/// Classes of objects: those that have not come back, those that have once, and more often. With two, few
/// of a small cache's hits were found on one of the two traces that this was made with; with more, fewer
/// on the other.
pub(super) const CLASSES: usize = 3;

/// Steps of ages: two for each doubling, so up to 2^28 uses of the cache.
const STEPS: usize = 56;

/// Uses of the cache between two estimates, at least.
const ESTIMATE_EVERY: u64 = 4096;

/// Part of what was seen that is left from one estimate to the next one: habits change.
const KEPT: f64 = 127.0 / 128.0;

/// Weight of the class below in an estimate, as a number of objects: few objects come back often.
const PRIOR: f64 = 8.0;

/// A number for each class and step of ages.
type Table<T> = [[T; STEPS]; CLASSES];

/// Last use of an object: its time in uses of the cache, and the object's class in the lowest bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Use(u64);

impl Use {
    /// Bits of a use. The time starts anew after 2^42 uses.
    pub(super) const BITS: u32 = 44;

    /// Bits of the class.
    const CLASS_BITS: u32 = CLASSES.next_power_of_two().ilog2();

    pub(super) const fn new(at: u64, class: usize) -> Self {
        Self((at << Self::CLASS_BITS | class as u64) & ((1 << Self::BITS) - 1))
    }

    pub(super) const fn at(self) -> u64 {
        self.0 >> Self::CLASS_BITS
    }

    pub(super) const fn class(self) -> usize {
        self.0 as usize & ((1 << Self::CLASS_BITS) - 1)
    }

    /// As a number, which is not zero and which no other use has.
    pub(super) const fn number(self) -> u64 {
        self.0
    }

    pub(super) const fn of_number(number: u64) -> Self {
        Self(number)
    }
}

/// Returns that were seen, and the estimate made of them.
#[derive(Debug)]
pub(super) struct Returns {
    /// Time: uses of the cache.
    now: u64,
    /// Objects that came back, by their class and age then.
    came: Table<f64>,
    /// Objects that are watched no longer without a return, by their class and age then.
    lost: Table<f64>,
    /// Objects that have not come back yet, by class and age: counted in turn.
    counting: Table<f64>,
    /// Expected returns for each use of the cache that the object is kept, if it is kept for as long as
    /// is best.
    density: Table<f64>,
    estimate_at: u64,
}

impl Default for Returns {
    fn default() -> Self {
        let zero = [[0.0; STEPS]; CLASSES];
        Self {
            now: 0,
            came: zero,
            lost: zero,
            counting: zero,
            density: zero,
            estimate_at: ESTIMATE_EVERY,
        }
    }
}

impl Returns {
    /// An object is used for the first time.
    pub(super) fn first(&mut self) -> Use {
        self.now += 1;
        Use::new(self.now, 0)
    }

    /// An object comes back.
    pub(super) fn again(&mut self, last: Use) -> Use {
        self.now += 1;
        self.came[last.class()][self.step(last)] += 1.0;
        Use::new(self.now, (last.class() + 1).min(CLASSES - 1))
    }

    /// An object is watched no longer, and may come back unnoticed.
    pub(super) fn lose(&mut self, last: Use) {
        self.lost[last.class()][self.step(last)] += 1.0;
    }

    /// Counts an object that has not come back. Each is to be counted once between two estimates.
    pub(super) fn count(&mut self, last: Use) {
        self.counting[last.class()][self.step(last)] += 1.0;
    }

    /// All objects were counted. Makes an estimate if it is time, and says so: then the count begins anew.
    pub(super) fn counted(&mut self) -> bool {
        if self.now < self.estimate_at {
            return false;
        }
        self.estimate_at = self.now + ESTIMATE_EVERY;
        self.estimate();
        self.counting = [[0.0; STEPS]; CLASSES];
        for seen in self.came.iter_mut().chain(&mut self.lost).flatten() {
            *seen *= KEPT;
        }
        true
    }

    /// Expected returns for each use of the cache that the object is kept.
    pub(super) fn density(&self, last: Use) -> f64 {
        self.density[last.class()][self.step(last)]
    }

    /// Kaplan and Meier's estimate of the time until a return, for each class; and from it, for each age,
    /// the best ratio of returns to time kept.
    fn estimate(&mut self) {
        let mut likely = [0.0; STEPS];
        for class in 0..CLASSES {
            let mut reached = 0.0;
            for step in (0..STEPS).rev() {
                let came = self.came[class][step];
                let stayed = self.lost[class][step] + self.counting[class][step];
                let seen = reached + came + stayed / 2.0;
                likely[step] = (came + PRIOR * likely[step]) / (seen + PRIOR);
                reached += came + stayed;
            }
            self.density[class] = densities(&likely);
        }
    }

    fn step(&self, last: Use) -> usize {
        step(Use::new(self.now.wrapping_sub(last.at()), 0).at())
    }
}

/// For each age, the best ratio of expected returns to the time until then, of all times to wait.
fn densities(likely: &[f64; STEPS]) -> [f64; STEPS] {
    let mut densities = [0.0; STEPS];
    for (from, density) in densities.iter_mut().enumerate() {
        let (mut alive, mut kept) = (1.0, 0.0);
        for (step, likely) in likely.iter().enumerate().skip(from) {
            let still = alive * (1.0 - likely);
            kept += (start(step + 1) - start(step)) * (alive + still) / 2.0;
            alive = still;
            *density = f64::max(*density, (1.0 - alive) / kept);
        }
    }
    densities
}

/// Step of an age.
fn step(age: u64) -> usize {
    let age = age.max(1);
    let doublings = age.ilog2();
    let half = if doublings == 0 { 0 } else { age >> (doublings - 1) & 1 };
    (2 * doublings as usize + half as usize).min(STEPS - 1)
}

/// The age with which a step starts.
fn start(step: usize) -> f64 {
    let start = (1_u64 << (step / 2)) as f64;
    if step.is_multiple_of(2) { start } else { start * 1.5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_half_a_doubling() {
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 8, 12].map(step), [0, 0, 2, 3, 4, 4, 5, 5, 6, 7]);
        assert_eq!(step(u64::MAX), STEPS - 1);
        for first in 2..STEPS {
            assert_eq!(step(start(first) as u64), first);
        }
    }

    #[test]
    fn a_use_is_a_number_that_wraps() {
        let last = Use::new((1 << 42) - 1, 1);
        assert_eq!(
            (last.at(), last.class(), Use::of_number(last.number())),
            ((1 << 42) - 1, 1, last)
        );
        let returns = Returns { now: (1 << 42) + 3, ..Returns::default() };
        assert_eq!(returns.step(last), step(4));
    }

    #[test]
    fn what_comes_back_soon_is_denser_and_what_stays_away_loses() {
        let mut returns = Returns::default();
        for _ in 0..200 {
            let (often, once) = (returns.first(), returns.first());
            let again = returns.again(often);
            returns.again(again);
            returns.lose(once);
        }
        returns.now += ESTIMATE_EVERY;
        assert!(returns.counted());
        assert!(!returns.counted(), "one estimate for a while");
        let density = |age: u64, class| returns.density(Use::new(returns.now - age, class));
        assert!(density(1, 1) > density(1, 0), "all that came back once came back again");
        assert!(density(1, 0) > density(100, 0), "nothing came back so late");
    }
}
