//! Files of hashed tokens: one a line, with a label for people behind it.

use std::path::Path;

use crate::{bounded_file, config::TokenHash};

/// The longest file, in bytes.
const LEN_MAX: u64 = 1 << 20;

/// Reads the hashes of a file. An error is the fault with its remedy, and shows nothing of a line.
pub(super) fn read(path: &Path) -> Result<Vec<TokenHash>, String> {
    parse(bounded_file::read(path, LEN_MAX)?.as_bytes())
}

/// Checks that a file of tokens is one which the daemon takes. An error is the fault with its remedy.
pub fn check_token_file(path: &Path) -> Result<(), String> {
    read(path).map(drop)
}

/// Reads the hashes of a text.
pub(super) fn parse(text: &[u8]) -> Result<Vec<TokenHash>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "write the file in UTF-8".to_owned())?;
    // Editors of other systems begin a file with this mark, which is not shown.
    let text = text.trim_start_matches('\u{feff}');
    let mut hashes = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        // What is behind the hash is a label.
        let Some(hash) = line.split_whitespace().next().filter(|_| !line.starts_with('#')) else {
            continue;
        };
        hashes.push(TokenHash::parse(hash).ok_or_else(|| {
            format!(
                "begin each line with the SHA-256 of a token, 64 hexadecimal digits, as of \
                 `printf %s TOKEN | sha256sum`, line=`{number}`"
            )
        })?);
    }
    // A file that is being written may be empty for a moment.
    if hashes.is_empty() {
        return Err("write at least one hash of a token into the file".into());
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_file_has_hashes_with_labels_comments_and_empty_lines() {
        let text = format!(
            "\u{feff}# tokens\n\n  {HASH}  engine-1 of rack 7\r\n{}\n",
            HASH.to_uppercase()
        );
        let found = parse(text.as_bytes()).unwrap();
        assert!(found == [TokenHash::of(b"abc"), TokenHash::of(b"abc")]);
    }

    #[test]
    fn a_fault_names_its_line_and_shows_nothing_of_it() {
        let second = format!("{HASH}\nhunter2\n");
        for (text, part) in [
            ("hunter2", "line=`1`"),
            (second.as_str(), "line=`2`"),
            ("", "at least one"),
            ("# none\n", "at least one"),
        ] {
            let remedy = parse(text.as_bytes()).unwrap_err();
            assert!(remedy.contains(part) && !remedy.contains("hunter2"), "{remedy}");
        }
        assert!(parse(b"\xff").unwrap_err().contains("UTF-8"));
        assert!(read(Path::new("/dev/zero")).unwrap_err().contains("1048576 bytes"));
        assert!(read(Path::new("/nonexistent")).unwrap_err().contains("can be read"));
    }
}
