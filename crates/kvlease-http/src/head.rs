//! The head of an answer: its status, and the few headers that this protocol has a use for.
//!
//! The peer may be anything that listens there. What does not say clearly where its answer ends is
//! refused, since the next answer on the connection begins at that place.

use http::StatusCode;
use httparse::{Header, ParserConfig, Status};
use kvlease_api::{CHECKSUM_HEADER, EPOCH_HEADER, JSON, SEGMENT_HEADER, SOCKET_HEADER};

use crate::{
    announcement::{self, Announcement},
    framing::Framing,
    malformed::{HEAD_LEN_MAX, Malformed},
};

/// The most headers in it.
const HEADERS_MAX: usize = 64;

/// Head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// The content length, if there is one. An answer to `HEAD` has one without such a body.
    pub(crate) len: Option<u64>,
    /// How to find the body's end.
    pub(crate) framing: Framing,
    /// Whether another request may follow on the connection.
    pub(crate) keeps_alive: bool,
    /// Whether the body is JSON by its content type.
    pub(crate) is_json: bool,
    /// The checksum header as it is.
    pub(crate) checksum: Option<Box<str>>,
    /// The daemon's announcement.
    pub(crate) announcement: Announcement,
}

/// Reads the head at the start of `arrived` and tells how long it is; `None` if its end has not
/// arrived. `is_bodiless` is for answers to `HEAD`. Heads that only announce the answer (1xx) are
/// skipped.
pub(crate) fn parse(arrived: &[u8], is_bodiless: bool) -> Result<Option<(Head, usize)>, Malformed> {
    let mut skipped = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = ParserConfig::default().parse_response(&mut response, &arrived[skipped..])?;
        let Status::Complete(len) = parsed else {
            return if arrived.len() > HEAD_LEN_MAX { Err(Malformed::LongHead) } else { Ok(None) };
        };
        skipped += len;
        if skipped > HEAD_LEN_MAX {
            return Err(Malformed::LongHead);
        }
        let code = response.code.unwrap_or_default();
        // A switch of protocols ends HTTP on the connection, and the client asked for none.
        if code == 101 {
            return Err(Malformed::Interim(code));
        }
        if !(100..200).contains(&code) {
            let is_current = response.version == Some(1);
            let head = read_headers(code, is_current, response.headers, is_bodiless)?;
            return Ok(Some((head, skipped)));
        }
    }
}

fn read_headers(
    code: u16,
    is_current: bool,
    headers: &[Header<'_>],
    is_bodiless: bool,
) -> Result<Head, Malformed> {
    let mut head = Head {
        status: StatusCode::from_u16(code).map_err(|_| httparse::Error::Status)?,
        len: None,
        framing: Framing::None,
        keeps_alive: is_current,
        is_json: false,
        checksum: None,
        announcement: Announcement::default(),
    };
    let mut is_chunked = false;
    for Header { name, value } in headers {
        if name.eq_ignore_ascii_case("content-length") {
            let len = content_length(value)?;
            if head.len.replace(len).is_some_and(|other| other != len) {
                return Err(Malformed::Length(quote(value)));
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed::Encoding(quote(value)));
            }
            is_chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            head.keeps_alive = keeps_alive(value, head.keeps_alive);
        } else if name.eq_ignore_ascii_case("content-type") {
            let media_type = value.split(|byte| *byte == b';').next().unwrap_or_default();
            head.is_json = media_type.trim_ascii().eq_ignore_ascii_case(JSON.as_bytes());
        } else if name.eq_ignore_ascii_case(CHECKSUM_HEADER) {
            head.checksum = Some(quote(value).into());
        } else if name.eq_ignore_ascii_case(SOCKET_HEADER) {
            head.announcement.socket = announcement::parse(value);
        } else if name.eq_ignore_ascii_case(EPOCH_HEADER) {
            head.announcement.epoch = announcement::parse(value);
        } else if name.eq_ignore_ascii_case(SEGMENT_HEADER) {
            head.announcement.segment = announcement::parse(value);
        }
    }
    head.framing = match (head.len, is_chunked) {
        _ if is_bodiless || matches!(code, 204 | 304) => Framing::None,
        (Some(_), true) => return Err(Malformed::TwoFramings),
        (None, true) => Framing::chunked(),
        (Some(len), false) => Framing::sized(len),
        (None, false) => Framing::UntilClose,
    };
    Ok(head)
}

fn content_length(value: &[u8]) -> Result<u64, Malformed> {
    // The parser of numbers would take a sign as well.
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value);
    let text = digits.and_then(|digits| str::from_utf8(digits).ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(|| Malformed::Length(quote(value)))
}

/// Whether the connection stays after a `Connection` header with this value.
fn keeps_alive(value: &[u8], otherwise: bool) -> bool {
    let says = |word: &[u8]| {
        value.split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(word))
    };
    !says(b"close") && (otherwise || says(b"keep-alive"))
}

/// A header's value for a message.
fn quote(value: &[u8]) -> String {
    value.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        parse(text.as_bytes(), false).unwrap().unwrap().0
    }

    fn refused(text: &str) -> Malformed {
        parse(text.as_bytes(), false).unwrap_err()
    }

    #[test]
    fn the_headers_of_the_protocol_are_read_whatever_their_case() {
        let text = "HTTP/1.1 200 OK\r\nContent-LENGTH: 12\r\ncontent-type: Application/json; \
                    charset=utf-8\r\nKVLEASE-checksum-xxh3: 00ff\r\n\r\nrest";
        let (head, len) = parse(text.as_bytes(), false).unwrap().unwrap();
        assert_eq!(&text[len..], "rest");
        assert_eq!((head.status, head.len), (StatusCode::OK, Some(12)));
        assert!(head.is_json && head.keeps_alive);
        assert_eq!(head.checksum.as_deref(), Some("00ff"));
        assert!(!self::head("HTTP/1.1 200 OK\r\ncontent-type: text/json\r\n\r\n").is_json);
    }

    #[test]
    fn a_head_is_awaited_to_its_end_and_not_for_ever() {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        for end in 0..text.len() {
            assert!(parse(&text.as_bytes()[..end], false).unwrap().is_none(), "{end}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(HEAD_LEN_MAX));
        assert_eq!(refused(&endless), Malformed::LongHead);
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        let many = refused(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"));
        assert_eq!(many, Malformed::Http(httparse::Error::TooManyHeaders));
    }

    #[test]
    fn announcements_are_skipped_and_a_switch_of_protocols_is_refused() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\na: b\r\n\r\n\
                    HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n";
        let (head, len) = parse(text.as_bytes(), false).unwrap().unwrap();
        assert_eq!((head.status, len), (StatusCode::NOT_FOUND, text.len()));
        assert!(parse(&text.as_bytes()[..60], false).unwrap().is_none());
        assert_eq!(refused("HTTP/1.1 101 Switching\r\n\r\n"), Malformed::Interim(101));
        let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(HEAD_LEN_MAX / 20);
        assert_eq!(refused(&endless), Malformed::LongHead);
    }

    #[test]
    fn an_end_that_is_told_in_two_ways_or_unclearly_is_refused() {
        let with = |headers: &str| refused(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n"));
        for len in ["-1", "+1", "", "1, 1", "0x10", "18446744073709551616"] {
            assert_eq!(with(&format!("content-length: {len}\r\n")), Malformed::Length(len.into()));
        }
        let two = "content-length: 1\r\ncontent-length: 2\r\n";
        assert_eq!(with(two), Malformed::Length("2".into()));
        let two = "content-length: 1\r\ntransfer-encoding: chunked\r\n";
        assert_eq!(with(two), Malformed::TwoFramings);
        for encoding in ["gzip", "gzip, chunked", "identity"] {
            let error = with(&format!("transfer-encoding: {encoding}\r\n"));
            assert_eq!(error, Malformed::Encoding(encoding.into()));
        }
        assert!(matches!(refused("SSH-2.0-x\r\n\r\n"), Malformed::Http(_)));
    }

    #[test]
    fn the_connection_stays_unless_one_side_or_an_old_version_says_otherwise() {
        for (text, stays) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nconnection: Close\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nconnection: x, close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n", true),
        ] {
            assert_eq!(head(text).keeps_alive, stays, "{text}");
        }
    }

    #[test]
    fn some_answers_have_no_body_whatever_their_headers_say() {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        let (head, _) = parse(text.as_bytes(), true).unwrap().unwrap();
        assert_eq!((head.len, head.framing), (Some(5), Framing::None));
        assert_eq!(self::head("HTTP/1.1 204 No\r\n\r\n").framing, Framing::None);
    }
}
