//! Lines of a trace.

use std::io::{self, BufRead, Read};

/// Longest line that is read: a prompt of millions of tokens.
pub(super) const LINE_MAX: usize = 16 << 20;

/// Lines of a file, without the empty ones.
#[derive(Debug)]
pub(super) struct Lines<R> {
    file: R,
    line: Vec<u8>,
    /// Number of the last line, from 1 on.
    pub(super) number: usize,
}

/// Reason why there is no trace.
#[derive(Debug)]
pub(super) enum Fault {
    File(io::Error),
    Line {
        number: usize,
        reason: String,
    },
    /// The file is a capture, and of no use.
    Capture {
        reason: String,
    },
}

/// A line, without what surrounds it.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) text: &'a [u8],
    /// Whether it ends as a line does: a file that is being written may end within one.
    pub(super) is_whole: bool,
    /// Bytes that were read for it.
    pub(super) len: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(file: R) -> Self {
        Self { file, line: Vec::new(), number: 0 }
    }

    /// The next line; `None` behind the last one.
    pub(super) fn next(&mut self) -> Result<Option<Text<'_>>, Fault> {
        loop {
            self.line.clear();
            let limit = LINE_MAX as u64 + 1;
            let read = self.file.by_ref().take(limit).read_until(b'\n', &mut self.line);
            let len = read.map_err(Fault::File)?;
            self.number += 1;
            if len == 0 {
                return Ok(None);
            }
            if len > LINE_MAX {
                return Err(self.fault(format!("it is longer than {LINE_MAX} bytes")));
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        let (text, is_whole) = (self.line.trim_ascii(), self.line.ends_with(b"\n"));
        Ok(Some(Text { text, is_whole, len: self.line.len() }))
    }

    /// A fault of the last line.
    pub(super) fn fault(&self, reason: String) -> Fault {
        Fault::Line { number: self.number, reason }
    }
}
