//! Returns of objects: how likely an object comes back, and how long that takes.

use super::{
    last_use::{CLASSES, Use},
    waiting::Waiting,
};

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

/// Returns that were seen, and the estimate made of them.
#[derive(Debug)]
pub(super) struct Returns {
    /// Time: uses of the cache.
    now: u64,
    /// Objects that came back, by their class and age then.
    came: Table<f64>,
    /// Objects that are watched no longer without a return, by their class and age then.
    lost: Table<f64>,
    /// Objects that have not come back yet.
    waiting: Waiting,
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
            waiting: Waiting::default(),
            density: zero,
            estimate_at: ESTIMATE_EVERY,
        }
    }
}

impl Returns {
    /// An object is used for the first time.
    pub(super) fn first(&mut self) -> Use {
        let first = Use::first(self.now + 1);
        self.used(first)
    }

    /// An object comes back.
    pub(super) fn again(&mut self, last: Use) -> Use {
        self.came[last.class()][self.step(last)] += 1.0;
        self.waiting.remove(last);
        self.used(last.again(self.now + 1))
    }

    /// An object is watched no longer, and may come back unnoticed.
    pub(super) fn lose(&mut self, last: Use) {
        self.lost[last.class()][self.step(last)] += 1.0;
        self.waiting.remove(last);
    }

    /// A use now. Makes an estimate if it is time.
    fn used(&mut self, last: Use) -> Use {
        self.now = last.at();
        self.waiting.add(last);
        if self.now >= self.estimate_at {
            self.estimate_at = self.now + ESTIMATE_EVERY;
            self.estimate();
            for seen in self.came.iter_mut().chain(&mut self.lost).flatten() {
                *seen *= KEPT;
            }
        }
        last
    }

    /// Expected returns for each use of the cache that the object is kept.
    pub(super) fn density(&self, last: Use) -> f64 {
        self.density[last.class()][self.step(last)]
    }

    /// Kaplan and Meier's estimate of the time until a return, for each class; and from it, for each age,
    /// the best ratio of returns to time kept.
    fn estimate(&mut self) {
        let mut waiting = [[0.0; STEPS]; CLASSES];
        for (age, objects) in self.waiting.ages(self.now) {
            for (class, objects) in waiting.iter_mut().zip(objects) {
                class[step(age)] += objects as f64;
            }
        }
        let mut likely = [0.0; STEPS];
        for (class, waiting) in waiting.iter().enumerate() {
            let mut reached = 0.0;
            for step in (0..STEPS).rev() {
                let came = self.came[class][step];
                let stayed = self.lost[class][step] + waiting[step];
                let seen = reached + came + stayed / 2.0;
                likely[step] = (came + PRIOR * likely[step]) / (seen + PRIOR);
                reached += came + stayed;
            }
            self.density[class] = densities(&likely);
        }
    }

    /// Objects that have not come back and are still watched.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.len()
    }

    fn step(&self, last: Use) -> usize {
        step(self.now - last.at())
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
    fn what_comes_back_soon_is_denser_and_what_stays_away_loses() {
        let mut returns = Returns::default();
        while returns.now < 2 * ESTIMATE_EVERY {
            let (often, once) = (returns.first(), returns.first());
            let again = returns.again(often);
            let often = returns.again(again);
            returns.lose(often);
            returns.lose(once);
        }
        let density = |age: u64, class| {
            let first = Use::first(returns.now - age);
            returns.density(if class == 0 { first } else { first.again(first.at()) })
        };
        assert!(density(1, 1) > density(1, 0), "half of what came back came back again");
        assert!(density(1, 0) > density(100, 0), "nothing came back so late");
    }
}
