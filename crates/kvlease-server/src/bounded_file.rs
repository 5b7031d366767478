//! Files of a few lines that operators write: secrets, hashes, headers.

use std::{fs, io::Read, path::Path};

/// Reads a file of at most `len_max` bytes. An error is the fault with its remedy, and shows nothing of the
/// file.
pub(crate) fn read(path: &Path, len_max: u64) -> Result<String, String> {
    let unreadable = |error| format!("name a file that can be read, error=`{error}`");
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(len_max + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > len_max {
        return Err(format!("keep the file within {len_max} bytes"));
    }
    String::from_utf8(text).map_err(|_| "write the file in UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_limit_and_no_further() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "four").unwrap();
        assert_eq!(read(&path, 4), Ok("four".to_owned()));
        assert_eq!(read(&path, 3), Err("keep the file within 3 bytes".to_owned()));
        assert!(read(Path::new("/dev/zero"), 4_096).unwrap_err().contains("4096 bytes"));
        assert!(read(Path::new("/nonexistent"), 4).unwrap_err().contains("can be read"));
        fs::write(&path, b"\xff").unwrap();
        assert!(read(&path, 4).unwrap_err().contains("UTF-8"));
    }
}
