//! The token in a client's requests.

use std::{
    fmt, fs, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kvlease_sys::FileStamp;

use crate::{Error, Token, TokenSource};

/// How often the file of a token is looked at, at most: with the next call after this.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// A file of a token is shorter.
const FILE_LEN_MAX: u64 = 16 << 10;

/// The token of a client's requests, as it was read last.
#[derive(Debug)]
pub(crate) struct Credentials {
    source: TokenSource,
    /// Never locked across an await.
    read: Mutex<Option<Read>>,
}

struct Read {
    /// Line of a head.
    header: Arc<str>,
    /// The file as it was before it was read.
    stamp: Option<FileStamp>,
    looked: Instant,
}

impl Credentials {
    /// Credentials that are read with the first call.
    pub(crate) const fn new(source: TokenSource) -> Self {
        Self { source, read: Mutex::new(None) }
    }

    /// Adds the token to the head of a request.
    pub(crate) fn add_to(&self, head: &mut String) -> Result<(), Error> {
        let header = self.header()?;
        // The empty line ends the head.
        head.insert_str(head.len() - 2, &header);
        Ok(())
    }

    /// Has the next call look at the file: the daemon did not take the token.
    pub(crate) fn doubt(&self) {
        if matches!(self.source, TokenSource::File(_)) {
            *self.read() = None;
        }
    }

    fn header(&self) -> Result<Arc<str>, Error> {
        let mut read = self.read();
        if let Some(read) = &mut *read {
            let TokenSource::File(path) = &self.source else { return Ok(Arc::clone(&read.header)) };
            if read.looked.elapsed() < LOOK_PAUSE {
                return Ok(Arc::clone(&read.header));
            }
            read.looked = Instant::now();
            if read.stamp == FileStamp::of(path) {
                return Ok(Arc::clone(&read.header));
            }
        }
        let (token, stamp) = match &self.source {
            TokenSource::Given(token) => (token.clone(), None),
            // A look before the file is read: a change meanwhile is seen by the next one. Both are of a
            // small file of this machine, once for each change.
            TokenSource::File(path) => {
                let seen = FileStamp::of(path);
                let token = read_file(path)
                    .map_err(|source| Error::TokenFile { path: path.clone(), source })?;
                (token, seen)
            }
        };
        let header: Arc<str> = format!("authorization: Bearer {}\r\n", token.secret()).into();
        *read = Some(Read { header: Arc::clone(&header), stamp, looked: Instant::now() });
        Ok(header)
    }

    fn read(&self) -> MutexGuard<'_, Option<Read>> {
        // The sections replace one value: a panic cannot leave it half changed.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

fn read_file(path: &Path) -> io::Result<Token> {
    if fs::metadata(path)?.len() > FILE_LEN_MAX {
        return Err(io::Error::other(format!("it is longer than {FILE_LEN_MAX} bytes")));
    }
    let text = fs::read_to_string(path)?;
    // Editors of other systems begin a file with this mark, which is not shown.
    text.trim_start_matches('\u{feff}')
        .trim()
        .parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(credentials: &Credentials) -> Result<String, Error> {
        let mut head = "GET / HTTP/1.1\r\nhost: h\r\n\r\n".to_owned();
        credentials.add_to(&mut head).map(|()| head)
    }

    #[test]
    fn a_token_is_a_header_of_each_request() {
        let given = Credentials::new(TokenSource::Given("s3cret".parse().unwrap()));
        let expected = "GET / HTTP/1.1\r\nhost: h\r\nauthorization: Bearer s3cret\r\n\r\n";
        assert_eq!(head(&given).unwrap(), expected);
        given.doubt();
        assert_eq!(head(&given).unwrap(), expected);
        assert!(!format!("{given:?}").contains("s3cret"));
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_bad_one_is_an_error_without_its_contents() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "one\n").unwrap();
        let file = Credentials::new(TokenSource::File(path.clone()));
        assert!(head(&file).unwrap().contains("Bearer one\r\n"));
        fs::write(&path, "\u{feff}three\r\n").unwrap();
        assert!(head(&file).unwrap().contains("Bearer one\r\n"), "looked at once in a second");
        file.doubt();
        assert!(head(&file).unwrap().contains("Bearer three\r\n"));
        for text in ["", "two words", "long"] {
            let text = if text == "long" { "x".repeat(20_000) } else { text.to_owned() };
            fs::write(&path, &text).unwrap();
            file.doubt();
            let error = head(&file).unwrap_err();
            assert!(matches!(error, Error::TokenFile { .. }), "{error:?}");
            let said = format!("{error} {error:?}");
            assert!(said.contains(&format!("token_file=`{}`", path.display())), "{said}");
            assert!(text.is_empty() || !said.contains(&text), "{said}");
        }
        fs::remove_file(&path).unwrap();
        let gone = head(&file).unwrap_err();
        assert!(matches!(gone, Error::TokenFile { .. }));
        assert!(gone.to_string().contains("reason=`No such file"), "{gone}");
    }
}
