//! Segments of a stored name: any text as printable ASCII without `/`, and back.

/// The longest segment by default, in bytes. Object stores on file systems take no longer ones.
pub(crate) const SEGMENT_LEN_MAX: usize = 255;

/// The least that a store's longest segment may be.
pub(crate) const SEGMENT_LEN_MAX_MIN: usize = 32;

/// Mark between the start of a name that is too long for a segment, and its checksum. No escape has
/// this form.
const SHORTENED: &str = "%~";

/// Digits of the checksum of a shortened name.
const CHECKSUM_LEN: usize = 16;

/// Text of a segment, as it is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Segment {
    /// The whole text.
    Whole(String),
    /// The text was too long: the value has it.
    Shortened,
}

impl Segment {
    /// Reads a segment of at most `max` bytes; `None` if [`segment`] does not write it.
    pub(crate) fn read(written: &str, max: usize) -> Option<Self> {
        if let Some((_, checksum)) = written.split_once(SHORTENED) {
            let digits = checksum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let whole = written.len() == max && checksum.len() == CHECKSUM_LEN;
            return (whole && digits).then_some(Self::Shortened);
        }
        let text = unescape(written)?;
        (segment(&text, max) == written).then_some(Self::Whole(text))
    }
}

/// The segment for a text: the text with escapes where it needs them. Of a text that would be too
/// long, it has the start and a checksum.
pub(crate) fn segment(text: &str, max: usize) -> String {
    let mut escaped = match text {
        // On a file system, these are folders.
        "." | ".." => text.replace('.', "%2E"),
        _ => escape(text),
    };
    if escaped.len() > max {
        escaped.truncate(max - SHORTENED.len() - CHECKSUM_LEN);
        escaped.push_str(SHORTENED);
        escaped.push_str(&kvlease_sys::Digest::of(text.as_bytes()).to_string());
    }
    escaped
}

/// The common start of the segments of all texts that start with `prefix`. Other segments may have
/// it as well.
pub(crate) fn segment_prefix(prefix: &str, max: usize) -> String {
    // The only texts whose first characters are escaped differently.
    if prefix.bytes().all(|byte| byte == b'.') {
        return String::new();
    }
    let mut escaped = escape(prefix);
    escaped.truncate(max - SHORTENED.len() - CHECKSUM_LEN);
    escaped
}

/// Whether a byte stands for itself. Patterns of Valkey and the delimiters of URLs do not.
pub(crate) const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@' | b':' | b'=' | b',')
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn unescape(written: &str) -> Option<String> {
    let mut text = Vec::with_capacity(written.len());
    let mut bytes = written.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            text.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        text.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = SEGMENT_LEN_MAX;

    #[test]
    fn segments_are_readable() {
        for (text, written) in [
            ("lmcache", "lmcache"),
            ("model@8@0@-1a2b@bf16", "model@8@0@-1a2b@bf16"),
            ("meta/Llama 3", "meta%2FLlama%203"),
            ("100%", "100%25"),
            ("ключ", "%D0%BA%D0%BB%D1%8E%D1%87"),
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("...", "..."),
            ("a*?[b]\\", "a%2A%3F%5Bb%5D%5C"),
            ("\0\n", "%00%0A"),
        ] {
            assert_eq!(segment(text, MAX), written);
            assert_eq!(
                Segment::read(written, MAX),
                Some(Segment::Whole(text.to_owned())),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_long_name_keeps_its_start_and_differs_from_all_others() {
        let whole = "k".repeat(MAX);
        assert_eq!(segment(&whole, MAX), whole);
        let (one, two) = (format!("{whole}1"), format!("{whole}2"));
        for text in [&one, &two, &"é".repeat(1024)] {
            let written = segment(text, MAX);
            assert_eq!(written.len(), MAX);
            assert_eq!(Segment::read(&written, MAX), Some(Segment::Shortened));
            assert!(written.starts_with(&segment_prefix(text, MAX)));
        }
        assert_ne!(segment(&one, MAX), segment(&two, MAX));
    }

    #[test]
    fn what_was_written_otherwise_is_no_segment() {
        let short = format!("k{SHORTENED}0123456789abcdef");
        for written in ["a%2fb", "a b", "%41", "%", "%4", "%GG", "%FF", ".", "..", "é", &short] {
            assert_eq!(Segment::read(written, MAX), None, "{written}");
        }
    }

    #[test]
    fn a_prefix_of_a_text_is_one_of_its_segment() {
        for text in ["a/b", "..", ".", "...x", "é%", "k", &"/".repeat(300)] {
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                assert!(
                    segment(text, MAX).starts_with(&segment_prefix(&text[..at], MAX)),
                    "{text} {at}"
                );
            }
        }
    }
}
