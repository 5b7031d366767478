//! Traces of requests: public ones, and captures of a daemon.

mod capture;
mod lines;
mod public;
mod requests;

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, IsTerminal, Seek},
    num::NonZero,
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use kvlease_client::ByteSize;

use crate::{
    failure::{Failure, Status},
    progress,
};
use capture::{Calls, Header};
use lines::{Fault, Lines};

pub(super) use capture::Tally;

/// Requests in their order.
#[derive(Default, Debug)]
pub(super) struct Trace {
    /// Blocks of all prompts, one prompt behind the other. Blocks are numbered as they appear.
    references: Vec<u32>,
    /// Where each request ends in `references`.
    ends: Vec<usize>,
    /// When each request came, in microseconds.
    times: Vec<u64>,
    numbers: HashMap<u64, u32>,
    /// Tokens of a block, if the trace tells them.
    block_tokens: Option<u32>,
    /// Totals of a capture.
    tally: Option<Tally>,
}

/// Where a trace comes from.
#[derive(Debug)]
pub(super) enum Source {
    Public(PathBuf),
    /// Files of captures with one secret, in the order of their time.
    Capture(Vec<(Header, PathBuf)>),
}

impl Source {
    /// Looks into files. Those of captures with one secret are one trace; each other file is a trace by
    /// itself.
    pub(super) fn all(paths: &[PathBuf]) -> Result<Vec<Self>, Failure> {
        let mut sources = Vec::new();
        let mut captures = Vec::new();
        for path in paths {
            match header(path)? {
                Some(header) => captures.push((header, path.clone())),
                None => sources.push(Self::Public(path.clone())),
            }
        }
        captures.sort_by(|(one, _), (other, _)| {
            one.secret.cmp(&other.secret).then_with(|| one.order().cmp(&other.order()))
        });
        let captures = captures.chunk_by(|(one, _), (next, _)| one.secret == next.secret);
        sources.extend(captures.map(|files| Self::Capture(files.to_vec())));
        Ok(sources)
    }

    /// The file, or the first of several.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Public(path) => path,
            Self::Capture(files) => &files[0].1,
        }
    }

    /// Reads the trace, or only its first `requests`.
    pub(super) fn open(&self, requests: Option<NonZero<usize>>) -> Result<Trace, Failure> {
        let mut trace = match self {
            Self::Public(path) => Trace::open(path)?,
            Self::Capture(files) => Trace::open_capture(files)?,
        };
        if trace.references.is_empty() {
            let path = self.path().display();
            let line = format!("the trace has no blocks: name another file, path=`{path}`");
            return Err(Failure::new(Status::Usage, line));
        }
        if let Some(requests) = requests {
            trace.truncate(requests.get());
        }
        Ok(trace)
    }
}

impl Trace {
    /// Reads a public trace.
    fn open(path: &Path) -> Result<Self, Failure> {
        let (file, bar) = open(path)?;
        let trace = Self::read(file, &bar).map_err(|fault| failure(path, fault));
        bar.finish_and_clear();
        trace
    }

    fn read(file: impl BufRead, bar: &ProgressBar) -> Result<Self, Fault> {
        let (mut trace, mut lines) = (Self::default(), Lines::new(file));
        loop {
            let Some(line) = lines.next()? else { return Ok(trace) };
            bar.inc(line.len as u64);
            let found = public::prompt(line.text);
            let added = found.and_then(|prompt| match prompt {
                Some(prompt) => {
                    trace.block_tokens = trace.block_tokens.or(prompt.block_tokens);
                    trace.add(prompt.at.unwrap_or(0), &prompt.blocks).ok_or_else(too_many)
                }
                None => Ok(()),
            });
            added.map_err(|reason| lines.fault(reason))?;
        }
    }

    /// Reads the files of a capture.
    fn open_capture(files: &[(Header, PathBuf)]) -> Result<Self, Failure> {
        let (mut trace, mut calls) = (Self::default(), Calls::default());
        for (header, path) in files {
            calls.enter(header);
            let (file, bar) = open(path)?;
            let read = trace.read_capture(file, &bar, &mut calls);
            bar.finish_and_clear();
            read.map_err(|fault| failure(path, fault))?;
        }
        calls.end(|at, blocks| {
            trace.add(at, blocks);
        });
        trace.tally = Some(calls.tally);
        Ok(trace)
    }

    fn read_capture(
        &mut self,
        file: impl BufRead,
        bar: &ProgressBar,
        calls: &mut Calls,
    ) -> Result<(), Fault> {
        let mut lines = Lines::new(file);
        let mut is_full = false;
        // The header.
        lines.next()?;
        while let Some(line) = lines.next()? {
            bar.inc(line.len as u64);
            let is_whole = line.is_whole;
            let taken =
                calls.line(line.text, |at, blocks| is_full |= self.add(at, blocks).is_none());
            match taken {
                // A daemon that was killed, or writes on, leaves a part of a line.
                Err(_) if !is_whole => return Ok(()),
                Err(reason) => return Err(lines.fault(reason)),
                Ok(()) if is_full => return Err(lines.fault(too_many())),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Adds a request; nothing if its blocks cannot be numbered any more.
    pub(super) fn add(&mut self, at: u64, blocks: &[u64]) -> Option<()> {
        for block in blocks {
            let next = u32::try_from(self.numbers.len()).ok().filter(|next| *next < u32::MAX)?;
            self.references.push(*self.numbers.entry(*block).or_insert(next));
        }
        self.ends.push(self.references.len());
        self.times.push(at);
        Some(())
    }

    /// Forgets all but the first requests.
    pub(super) fn truncate(&mut self, requests: usize) {
        if requests < self.ends.len() {
            self.ends.truncate(requests);
            self.times.truncate(requests);
            self.references.truncate(self.ends.last().copied().unwrap_or(0));
            // Blocks are numbered as they appear.
            let blocks = self.references.iter().max().map_or(0, |last| last + 1);
            self.numbers.retain(|_, number| *number < blocks);
        }
    }

    /// The prompts.
    pub(super) fn requests(&self) -> impl DoubleEndedIterator<Item = &[u32]> + ExactSizeIterator {
        let start = |number: usize| number.checked_sub(1).map_or(0, |before| self.ends[before]);
        (0..self.ends.len()).map(move |number| &self.references[start(number)..self.ends[number]])
    }

    /// When each request came, in microseconds.
    pub(super) fn times(&self) -> impl Iterator<Item = u64> {
        self.times.iter().copied()
    }

    /// Number of distinct blocks.
    pub(super) fn blocks(&self) -> u32 {
        self.numbers.len() as u32
    }

    /// Number of blocks of all prompts.
    pub(super) fn references(&self) -> u64 {
        self.references.len() as u64
    }

    /// Tokens of a block, if the trace tells them.
    pub(super) fn block_tokens(&self) -> Option<u32> {
        self.block_tokens
    }

    /// Totals of a capture; `None` for other traces.
    pub(super) fn tally(&self) -> Option<&Tally> {
        self.tally.as_ref()
    }

    /// Mean length of the objects of a capture.
    pub(super) fn object_size(&self) -> Option<ByteSize> {
        let Tally { objects, bytes, .. } = self.tally?;
        bytes.checked_div(objects).filter(|size| *size > 0).map(ByteSize::new)
    }
}

/// Opens a file, with a bar for its bytes.
fn open(path: &Path) -> Result<(BufReader<File>, ProgressBar), Failure> {
    let file = File::open(path).map_err(Failure::file("open the trace", path))?;
    let len = file.metadata().ok().filter(|metadata| metadata.is_file()).map(|file| file.len());
    Ok((BufReader::with_capacity(1 << 20, file), progress::transfer(len.map(ByteSize::new))))
}

/// The header of a capture; `None` if the file is none. A file that is read only once is not looked into.
fn header(path: &Path) -> Result<Option<Header>, Failure> {
    let file = File::open(path).map_err(Failure::file("open the trace", path))?;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file || file.is_terminal() || (&file).stream_position().is_err() {
        return Ok(None);
    }
    let mut lines = Lines::new(BufReader::new(file));
    match lines.next() {
        Ok(Some(line)) => Header::parse(line.text)
            .transpose()
            .map_err(|reason| failure(path, Fault::Capture { reason })),
        // Told when it is read.
        Ok(None) | Err(_) => Ok(None),
    }
}

fn too_many() -> String {
    "there are too many blocks".to_owned()
}

fn failure(path: &Path, fault: Fault) -> Failure {
    let place = path.display();
    match fault {
        Fault::File(error) => Failure::file("read the trace", path)(error),
        Fault::Capture { reason } => Failure::new(
            Status::Usage,
            format!("the capture cannot be read: {reason}, path=`{place}`"),
        ),
        Fault::Line { number, reason } => Failure::new(
            Status::Usage,
            format!(
                "the trace has a line that is no request: each is a JSON object with the blocks of the \
                 prompt as `hash_ids`, {reason}, path=`{place}`, line={number}"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{lines::LINE_MAX, *};

    fn read(text: &str) -> Result<Trace, (usize, String)> {
        Trace::read(text.as_bytes(), &ProgressBar::hidden()).map_err(|fault| match fault {
            Fault::Line { number, reason } => (number, reason),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn blocks_are_numbered_as_they_appear() {
        let text = "{\"timestamp\": 2, \"hash_ids\": [7, 9]}\n\n{\"hash_ids\": []}\r\n{\"hash_ids\": [7, 3]}";
        let mut trace = read(text).unwrap();
        let requests: Vec<&[u32]> = trace.requests().collect();
        assert_eq!(requests, [&[0, 1][..], &[], &[0, 2]]);
        assert_eq!((trace.blocks(), trace.references()), (3, 4));
        assert_eq!(trace.times().collect::<Vec<_>>(), [2_000, 0, 0]);
        trace.truncate(2);
        assert_eq!((trace.requests().len(), trace.blocks(), trace.references()), (2, 2, 2));
        trace.truncate(9);
        assert_eq!(trace.requests().len(), 2);
    }

    #[test]
    fn a_line_that_is_no_request_is_named() {
        for (text, line) in [
            ("{\"hash_ids\": [1]}\nTIMESTAMP,ContextTokens\n", 2),
            ("{\"hash_ids\": [-1]}", 1),
            ("{\"timestamp\": 0}", 1),
            ("\u{0}", 1),
        ] {
            assert_eq!(read(text).unwrap_err().0, line, "{text}");
        }
        let long = format!("{{\"hash_ids\": [{}1]}}", " ".repeat(LINE_MAX));
        assert!(read(&long).unwrap_err().1.contains("longer"));
    }
}
