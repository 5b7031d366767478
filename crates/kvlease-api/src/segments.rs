//! Segments of a path, split once.

/// Segments of the longest template: what is before the first slash is one.
const SEGMENTS_MAX: usize = 7;

/// Segments of a path or of a template.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segments<'a> {
    segments: [&'a str; SEGMENTS_MAX],
    len: usize,
}

impl<'a> Segments<'a> {
    /// Segments of `path`; `None` if they are more than any template has.
    ///
    /// Every request comes through here: the search takes a fraction of [`str::split`].
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let (mut segments, mut len, mut start) = ([""; SEGMENTS_MAX], 0, 0);
        for at in memchr::memchr_iter(b'/', path.as_bytes()) {
            if len + 1 == SEGMENTS_MAX {
                return None;
            }
            segments[len] = &path[start..at];
            (len, start) = (len + 1, at + 1);
        }
        segments[len] = &path[start..];
        Some(Self { segments, len: len + 1 })
    }

    /// Segments of a constant, for which the search above cannot be used.
    const fn of_constant(path: &'a str) -> Option<Self> {
        let (mut segments, bytes) = ([""; SEGMENTS_MAX], path.as_bytes());
        let (mut len, mut start, mut at) = (0, 0, 0);
        while at < bytes.len() {
            if bytes[at] == b'/' {
                if len + 1 == SEGMENTS_MAX {
                    return None;
                }
                segments[len] = path.split_at(at).0.split_at(start).1;
                (len, start) = (len + 1, at + 1);
            }
            at += 1;
        }
        segments[len] = path.split_at(start).1;
        Some(Self { segments, len: len + 1 })
    }

    /// Segments of a template, which has no more than the most.
    pub(crate) const fn of_template(template: &'a str) -> Self {
        Self::of_constant(template).expect("SEGMENTS_MAX is that of the longest template")
    }

    pub(crate) fn as_slice(&self) -> &[&'a str] {
        &self.segments[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_those_of_a_split() {
        for path in ["", "/", "*", "/healthz", "/v1/kv/b/", "//", "/v1/kv/ü/k%2F/leases", "a/b/"] {
            let expected: Vec<_> = path.split('/').collect();
            assert_eq!(Segments::of(path).unwrap().as_slice(), expected, "{path}");
            assert_eq!(Segments::of_template(path).as_slice(), expected, "{path}");
        }
        assert!(Segments::of("/1/2/3/4/5/6/").is_none());
    }
}
