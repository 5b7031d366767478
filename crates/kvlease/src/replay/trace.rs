//! Traces of requests.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use serde::Deserialize;

use crate::failure::{Failure, Status};

/// Longest line that is read: a prompt of millions of tokens.
const LINE_MAX: usize = 16 << 20;

/// Requests in the order of the file.
#[derive(Default, Debug)]
pub(super) struct Trace {
    /// Blocks of all prompts, one prompt behind the other. Blocks are numbered as they appear.
    references: Vec<u32>,
    /// Where each request ends in `references`.
    ends: Vec<usize>,
    numbers: HashMap<u64, u32>,
}

/// Line of Mooncake's format. The same number names the same block behind the same prefix.
#[derive(Deserialize)]
struct Line {
    hash_ids: Vec<u64>,
}

impl Trace {
    /// Reads a file.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(Failure::file("open the trace", path))?;
        let trace = Self::read(BufReader::new(file)).map_err(|fault| match fault {
            Fault::File(error) => Failure::file("read the trace", path)(error),
            Fault::Line { number, reason } => Failure::new(
                Status::Usage,
                format!(
                    "the trace has a line that is no request: each is a JSON object with the blocks \
                     of the prompt as `hash_ids`, {reason}, path=`{}`, line={number}",
                    path.display()
                ),
            ),
        })?;
        if trace.references.is_empty() {
            let path = path.display();
            let line = format!("the trace has no blocks: name another file, path=`{path}`");
            return Err(Failure::new(Status::Usage, line));
        }
        Ok(trace)
    }

    fn read(mut file: impl BufRead) -> Result<Self, Fault> {
        let (mut trace, mut line) = (Self::default(), Vec::new());
        for number in 1.. {
            line.clear();
            let limit = LINE_MAX as u64 + 1;
            let read = file.by_ref().take(limit).read_until(b'\n', &mut line);
            let len = read.map_err(Fault::File)?;
            if len == 0 {
                break;
            }
            let fault = |reason: String| Fault::Line { number, reason };
            if len > LINE_MAX {
                return Err(fault(format!("it is longer than {LINE_MAX} bytes")));
            }
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let Line { hash_ids } =
                serde_json::from_slice(text).map_err(|error| fault(error.to_string()))?;
            trace.add(&hash_ids).ok_or_else(|| fault("there are too many blocks".to_owned()))?;
        }
        Ok(trace)
    }

    /// Adds a request; nothing if its blocks cannot be numbered any more.
    pub(super) fn add(&mut self, blocks: &[u64]) -> Option<()> {
        for block in blocks {
            let next = u32::try_from(self.numbers.len()).ok().filter(|next| *next < u32::MAX)?;
            self.references.push(*self.numbers.entry(*block).or_insert(next));
        }
        self.ends.push(self.references.len());
        Some(())
    }

    /// The prompts.
    pub(super) fn requests(&self) -> impl DoubleEndedIterator<Item = &[u32]> + ExactSizeIterator {
        let start = |number: usize| number.checked_sub(1).map_or(0, |before| self.ends[before]);
        (0..self.ends.len()).map(move |number| &self.references[start(number)..self.ends[number]])
    }

    /// Number of distinct blocks.
    pub(super) fn blocks(&self) -> u32 {
        self.numbers.len() as u32
    }

    /// Number of blocks of all prompts.
    pub(super) fn references(&self) -> u64 {
        self.references.len() as u64
    }
}

/// Reason why there is no trace.
#[derive(Debug)]
enum Fault {
    File(io::Error),
    Line { number: usize, reason: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Trace, (usize, String)> {
        Trace::read(text.as_bytes()).map_err(|fault| match fault {
            Fault::Line { number, reason } => (number, reason),
            Fault::File(error) => panic!("memory cannot fail: {error}"),
        })
    }

    #[test]
    fn blocks_are_numbered_as_they_appear() {
        let trace = read(
            "{\"timestamp\": 0, \"hash_ids\": [7, 9]}\n\n{\"hash_ids\": []}\r\n{\"hash_ids\": [7, 3]}",
        )
        .unwrap();
        let requests: Vec<&[u32]> = trace.requests().collect();
        assert_eq!(requests, [&[0, 1][..], &[], &[0, 2]]);
        assert_eq!((trace.blocks(), trace.references()), (3, 4));
    }

    #[test]
    fn a_line_that_is_no_request_is_named() {
        for (text, line) in [
            ("{\"hash_ids\": [1]}\nTIMESTAMP,ContextTokens\n", 2),
            ("{\"hash_ids\": [-1]}", 1),
            ("{\"hash_ids\": \"1\"}", 1),
            ("{\"timestamp\": 0}", 1),
            ("\u{0}", 1),
        ] {
            assert_eq!(read(text).unwrap_err().0, line, "{text}");
        }
        let long = format!("{{\"hash_ids\": [{}1]}}", " ".repeat(LINE_MAX));
        assert!(read(&long).unwrap_err().1.contains("longer"));
    }
}
