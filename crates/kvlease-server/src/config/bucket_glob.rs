//! Patterns of bucket names.

use globset::{GlobBuilder, GlobMatcher};
use kvlease_types::BUCKET_LEN_MAX;

/// The pattern of all buckets.
const ALL: &str = "*";

/// The longest pattern, in bytes.
const LEN_MAX: usize = 2 * BUCKET_LEN_MAX;

/// Pattern of bucket names: `*` stands for any characters, `/` among them, `?` for one byte, `[ab]` for one of
/// these and `{one,other}` for one of these texts; `\` takes the meaning of the character behind it.
#[derive(Clone, Debug)]
pub struct BucketGlob(GlobMatcher);

impl BucketGlob {
    /// Reads a pattern. An error is the remedy.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > LEN_MAX {
            return Err(format!("write a pattern of 1 to {LEN_MAX} bytes"));
        }
        let glob = GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build();
        let glob = glob.map_err(|error| {
            format!(
                "write a pattern such as `*`, `team-*` or `{{a,b}}`, with `\\` before a character that \
                 stands for itself: {}",
                error.kind()
            )
        })?;
        Ok(Self(glob.compile_matcher()))
    }

    /// Whether a bucket has such a name.
    pub fn matches(&self, bucket: &str) -> bool {
        self.0.is_match(bucket)
    }

    /// Whether it is written as the pattern of all buckets.
    pub fn is_all(&self) -> bool {
        self.as_str() == ALL
    }

    /// How exactly it names buckets: a whole name more than any pattern, a long pattern more than a short one.
    pub(super) fn exactness(&self) -> (bool, usize) {
        (!self.as_str().contains(['*', '?', '[', '{', '\\']), self.as_str().len())
    }

    /// The pattern.
    pub fn as_str(&self) -> &str {
        self.0.glob().glob()
    }
}

impl PartialEq for BucketGlob {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for BucketGlob {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names_of_any_characters() {
        for (pattern, names, others) in [
            ("*", &["a", "a/b", "..", "a\nb", "ü", "kvlease:checkpoint:job"][..], &[][..]),
            (
                "team-*",
                &["team-", "team-a", "team-a/b.c", "team-\n"],
                &["team", "xteam-a", "Team-a"],
            ),
            ("a?c", &["abc", "a/c"], &["ac", "abbc"]),
            ("{a,b*}", &["a", "b", "bc"], &["c", "ab", "{a,b*}"]),
            ("[ab]", &["a", "b"], &["ab", "[ab]", "c"]),
            (r"\*", &["*"], &["a", r"\*"]),
            ("*.rs", &["a.rs", ".rs", "a/.rs", "x/../y.rs"], &["a.rs/..", "rs"]),
            ("a", &["a"], &["a/", "/a", "a/b", "./a"]),
        ] {
            let glob = BucketGlob::parse(pattern).unwrap();
            assert!(names.iter().all(|name| glob.matches(name)), "{pattern}");
            assert!(!others.iter().any(|name| glob.matches(name)), "{pattern}");
            assert_eq!(glob.is_all(), pattern == "*");
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        for wrong in ["", "[a", "{a", "a}", &"a".repeat(LEN_MAX + 1)] {
            let remedy = BucketGlob::parse(wrong).unwrap_err();
            assert!(remedy.starts_with("write a pattern"), "{remedy}");
            assert!(!remedy.contains('\n'), "{remedy}");
        }
    }
}
