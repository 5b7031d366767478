//! The trace that a request is a part of, by the W3C's header `traceparent`.

use http::{HeaderMap, HeaderName};

/// The header.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Length of the header's value in the version that is known, 0.
const LEN: usize = 55;

/// Bit of the flags that says that the trace is recorded.
const SAMPLED: u8 = 1;

/// Trace and span of a caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Parent {
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) is_sampled: bool,
}

impl Parent {
    /// The caller's, if the request names one and does it well.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all(TRACEPARENT).iter();
        match (given.next(), given.next()) {
            (Some(value), None) => Self::parse(value.to_str().ok()?),
            _ => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        // A later version may have more behind what is known.
        let (known, rest) = text.split_at_checked(LEN)?;
        let mut parts = known.split('-');
        let [version, trace, span, flags] = [2, 32, 16, 2].map(|len| number(parts.next(), len));
        let (version, trace, span, flags) = (version?, trace?, span?, flags? as u8);
        let is_known = version == 0 && rest.is_empty();
        let is_later = (1..0xff).contains(&version) && (rest.is_empty() || rest.starts_with('-'));
        let is_sound = (is_known || is_later) && parts.next().is_none() && trace != 0 && span != 0;
        is_sound.then_some(Self { trace, span: span as u64, is_sampled: flags & SAMPLED != 0 })
    }
}

/// A number of `len` hexadecimal digits in lower case.
fn number(text: Option<&str>, len: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let text = text.filter(|text| text.len() == len && text.bytes().all(is_digit))?;
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// The examples of the W3C's recommendation, and what it says is wrong.
    #[test]
    fn a_parent_is_read_as_the_recommendation_says() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parsed = |text: &str| Parent::parse(text);
        let expected = |is_sampled| {
            let (trace, span) = (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7);
            Some(Parent { trace, span, is_sampled })
        };
        for (flags, is_sampled) in [("01", true), ("00", false), ("03", true), ("02", false)] {
            let text = format!("00-{trace}-00f067aa0ba902b7-{flags}");
            assert_eq!(parsed(&text), expected(is_sampled), "{text}");
        }
        let later = format!("cc-{trace}-00f067aa0ba902b7-01");
        assert_eq!(parsed(&later), expected(true));
        assert_eq!(parsed(&format!("{later}-what-comes")), expected(true));
        for wrong in [
            String::new(),
            format!("00-{trace}-00f067aa0ba902b7"),
            format!("00-{trace}-00f067aa0ba902b7-01-more"),
            format!("00-{trace}-00f067aa0ba902b7-011"),
            format!("cc-{trace}-00f067aa0ba902b7-01.more"),
            format!("ff-{trace}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}-+0f067aa0ba902b7-01"),
            format!("00-{}-000f067aa0ba902b7-01", &trace[1..]),
            "é".repeat(28),
        ] {
            assert_eq!(parsed(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn two_parents_are_none() {
        let value =
            HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, value.clone());
        assert!(Parent::of(&headers).is_some());
        headers.append(TRACEPARENT, value);
        assert_eq!(Parent::of(&headers), None);
        assert_eq!(Parent::of(&HeaderMap::new()), None);
    }
}
