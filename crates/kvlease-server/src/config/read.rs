//! Reading the file of a configuration, which may be a pipe.

use std::{
    fs,
    io::{self, Read},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

/// Time within which a configuration has to come out of a pipe.
const READ_MAX: Duration = Duration::from_secs(5);

/// The longest configuration, in bytes.
const CONFIG_LEN_MAX: u64 = 1 << 20;

/// Reads the file. One that is no regular file may be a pipe whose writer writes nothing.
pub(super) fn read_config(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.is_file() {
        return read_at_most(path);
    }
    let (outcome, read) = mpsc::channel();
    let path = path.to_owned();
    // The thread ends with the process, which has no use for it any more.
    thread::Builder::new().spawn(move || drop(outcome.send(read_at_most(&path))))?;
    read.recv_timeout(READ_MAX).unwrap_or_else(|_| {
        let text = format!("its end did not come within {} s", READ_MAX.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

fn read_at_most(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(CONFIG_LEN_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > CONFIG_LEN_MAX {
        true => Err(io::Error::other(format!("it is longer than {CONFIG_LEN_MAX} bytes"))),
        false => Ok(text),
    }
}
