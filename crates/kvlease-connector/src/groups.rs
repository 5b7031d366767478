//! Look-ups for groups: a key counts where the objects of all ranks of its engine are there.
//!
//! One rank looks up for all of them, and each then reads its own objects. So the keys of all ranks are asked for
//! in place of each key, which every daemon understands.

use kvlease_http::Error;
use kvlease_types::{Key, keys_of_ranks};

use crate::backend::Answers;

/// The keys of all ranks, in place of some keys.
#[derive(Debug)]
pub(crate) struct Grouped {
    /// Those in place of one key follow each other.
    pub(crate) keys: Vec<Key>,
    /// For each of the keys, where those in its place end.
    ends: Vec<usize>,
}

impl Grouped {
    pub(crate) fn new<'k>(keys: impl Iterator<Item = &'k Key>) -> Self {
        let mut grouped = Self { keys: Vec::new(), ends: Vec::new() };
        for key in keys {
            let of_ranks = names_of_ranks(key.as_str()).map(|name| {
                // One rank's number may be longer than another's.
                Key::new(name).unwrap_or_else(|_| key.clone())
            });
            grouped.keys.extend(of_ranks);
            grouped.ends.push(grouped.keys.len());
        }
        grouped
    }

    /// How many keys are there whole before the first that is not, from the `count` of all ranks' keys that
    /// are there before the first that is not.
    pub(crate) fn count_whole(&self, count: usize) -> usize {
        self.ends.partition_point(|end| *end <= count)
    }

    /// Which keys are there whole: for each whether all objects are, or why that is not known.
    pub(crate) fn whole(&self, found: Answers<bool>) -> Answers<bool> {
        let mut found = found.into_iter();
        let mut start = 0;
        let answers = self.ends.iter().map(|end| {
            let each = found.by_ref().take(*end - start);
            start = *end;
            all(each.collect())
        });
        answers.collect()
    }
}

/// The key itself, or those of all ranks.
pub(crate) fn names_of_ranks(key: &str) -> impl Iterator<Item = String> {
    let of_ranks = keys_of_ranks(key);
    let alone = of_ranks.is_none().then(|| key.to_owned());
    of_ranks.into_iter().flatten().chain(alone)
}

/// Whether all are there. One that is not settles it, whatever is not known of the others.
fn all(answers: Answers<bool>) -> Result<bool, Error> {
    let missing = answers.iter().any(|answer| matches!(answer, Ok(false)));
    if missing { Ok(false) } else { answers.into_iter().find(Result::is_err).unwrap_or(Ok(true)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(keys: &[&str]) -> Grouped {
        let keys: Vec<Key> = keys.iter().map(|key| Key::new(*key).unwrap()).collect();
        Grouped::new(keys.iter())
    }

    #[test]
    fn all_ranks_are_asked_for_in_place_of_one() {
        let grouped = grouped(&["m@3@1@ab@half", "other", "m@2@0@cd@half@5"]);
        let keys: Vec<&str> = grouped.keys.iter().map(Key::as_str).collect();
        let expected = [
            "m@3@0@ab@half",
            "m@3@1@ab@half",
            "m@3@2@ab@half",
            "other",
            "m@2@0@cd@half@5",
            "m@2@1@cd@half@5",
        ];
        assert_eq!(keys, expected);
        let whole: Vec<usize> = (0..=6).map(|count| grouped.count_whole(count)).collect();
        assert_eq!(whole, [0, 0, 0, 1, 2, 2, 3]);
    }

    #[test]
    fn one_that_is_missing_settles_it_and_an_error_does_not() {
        let grouped = grouped(&["m@2@0@ab@half", "m@2@0@cd@half", "m@2@0@ef@half", "other"]);
        let found = vec![
            Ok(true),
            Ok(true),
            Err(Error::Closed),
            Ok(false),
            Ok(true),
            Err(Error::Closed),
            Ok(false),
        ];
        let whole = grouped.whole(found);
        assert!(matches!(whole[..], [Ok(true), Ok(false), Err(Error::Closed), Ok(false)]));
    }
}
