//! Percent-encoding of path segments and query values.

/// Reason why a text is not percent-encoded UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// A `%` without two hexadecimal digits behind it.
    #[error("a percent escape is broken: write `%` and two hexadecimal digits, at=`{at}`")]
    BrokenEscape {
        /// Place of the `%`, in bytes.
        at: usize,
    },
    /// The decoded bytes are no UTF-8.
    #[error("the decoded text is not UTF-8: encode names as UTF-8 before escaping them")]
    NotUtf8,
}

/// Decodes `%XX` escapes, once. `+` stays a plus.
pub fn decode(text: &str) -> Result<String, DecodeError> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let digit = |i: usize| bytes.get(i).and_then(|b| (*b as char).to_digit(16));
            let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
                return Err(DecodeError::BrokenEscape { at });
            };
            decoded.push((high << 4 | low) as u8);
            at += 3;
        } else {
            decoded.push(byte);
            at += 1;
        }
    }
    String::from_utf8(decoded).map_err(|_| DecodeError::NotUtf8)
}

/// Escapes everything but the unreserved characters of RFC 3986, so that the result is one path
/// segment or one query value.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            encoded.push('%');
            encoded.push(HEX[usize::from(byte >> 4)] as char);
            encoded.push(HEX[usize::from(byte & 15)] as char);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_exactly_once() {
        assert_eq!(decode("a%252Fb").as_deref(), Ok("a%2Fb"));
        assert_eq!(decode("org%2Fmodel@8+1").as_deref(), Ok("org/model@8+1"));
        assert_eq!(decode("%C3%BC%00").as_deref(), Ok("ü\0"));
    }

    #[test]
    fn broken_escapes_are_refused() {
        assert_eq!(decode("ab%2"), Err(DecodeError::BrokenEscape { at: 2 }));
        assert_eq!(decode("%zz"), Err(DecodeError::BrokenEscape { at: 0 }));
        assert_eq!(decode("%+1"), Err(DecodeError::BrokenEscape { at: 0 }));
        assert_eq!(decode("%FF"), Err(DecodeError::NotUtf8));
    }

    #[test]
    fn any_text_survives_encoding_and_decoding() {
        let text: String = (0..=0x2ff).filter_map(char::from_u32).collect();
        assert_eq!(decode(&encode(&text)), Ok(text));
    }
}
