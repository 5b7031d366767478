//! Ids of requests in the logs of clients and daemons.

/// The header of a request and of every answer that identifies the request: the client's id, if it is one as
/// [`is_request_id`] says, else one that the daemon makes.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// The longest id of a request, in bytes.
pub const REQUEST_ID_LEN_MAX: usize = 128;

/// Whether a text can be the id of a request: 1 to 128 letters, digits, `-`, `_`, `.`, `:`, `/`, `+`, `=`
/// and `@`. Such a text stands in a line of any log as it is.
pub const fn is_request_id(text: &[u8]) -> bool {
    if text.is_empty() || text.len() > REQUEST_ID_LEN_MAX {
        return false;
    }
    let mut rest = text;
    while let [first, others @ ..] = rest {
        if !(first.is_ascii_alphanumeric()
            || matches!(first, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=' | b'@'))
        {
            return false;
        }
        rest = others;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_a_line_of_a_log_is_no_id() {
        let longest = "a".repeat(REQUEST_ID_LEN_MAX);
        let uuid = "0b2a1f0e-6c5f-4d52-9f58-0c7a1b9f1f6e";
        for text in [uuid, "00-4bf92f35-00f0-01", "a:b/c+d=e@f_g.h", "7", &longest] {
            assert!(is_request_id(text.as_bytes()), "{text}");
        }
        let too_long = "a".repeat(REQUEST_ID_LEN_MAX + 1);
        for text in ["", " ", "a b", "a\"b", "a\\b", "a\nb", "a\u{1b}[0m", "ä", "{a}", &too_long] {
            assert!(!is_request_id(text.as_bytes()), "{text:?}");
        }
    }
}
