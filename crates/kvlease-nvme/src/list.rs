//! Thread that lists objects: their names are in the headers of the records.

use std::{
    fmt, io,
    str::FromStr,
    sync::{Arc, mpsc::Receiver},
};

use kvlease_sys::IoBuffer;
use kvlease_tier::{Listed, Page, TierError};
use kvlease_types::{ByteSize, Key};
use tokio::sync::oneshot;

use crate::{
    fingerprint::Fingerprint,
    format::{
        BLOCK,
        index_table::Entry,
        record::{Header, KIND_OBJECT, Position},
    },
    index::Place,
    segments::Walked,
    shared::{Shared, io_error},
    table,
};

/// The most headers that are read for a page.
const HEADERS_MAX: usize = 1024;

/// Page that a caller asks for.
pub(crate) struct ListJob {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) from: Cursor,
    pub(crate) limit: usize,
    pub(crate) reply: oneshot::Sender<Result<Page, TierError>>,
}

/// Position in the log from which a page starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cursor(Position);

impl Cursor {
    pub(crate) const START: Self = Self(Position { sequence: 0, block: 0 });
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.0.sequence, self.0.block)
    }
}

impl FromStr for Cursor {
    type Err = TierError;

    fn from_str(text: &str) -> Result<Self, TierError> {
        let parse = || {
            let (sequence, block) = text.split_once('-')?;
            let sequence = u64::from_str_radix(sequence, 16).ok()?;
            Some(Self(Position { sequence, block: u32::from_str_radix(block, 16).ok()? }))
        };
        parse()
            .ok_or_else(|| TierError::Foreign { reason: "the cursor is another tier's".to_owned() })
    }
}

/// Thread that lists objects.
pub(crate) struct Lister {
    shared: Arc<Shared>,
    inbox: Receiver<ListJob>,
    block: IoBuffer,
}

impl Lister {
    pub(crate) fn new(shared: Arc<Shared>, inbox: Receiver<ListJob>) -> io::Result<Self> {
        Ok(Self { shared, inbox, block: IoBuffer::new(BLOCK)? })
    }

    /// Answers until no caller is left.
    pub(crate) fn run(mut self) {
        while let Ok(job) = self.inbox.recv() {
            if !job.reply.is_closed() {
                let page = self.page(&job).map_err(io_error("reading a record's header"));
                // Without a receiver the caller gave up.
                let _ = job.reply.send(page);
            }
        }
    }

    fn page(&mut self, job: &ListJob) -> io::Result<Page> {
        let mut page = Page::default();
        let mut headers_left = HEADERS_MAX;
        let mut from = job.from.0;
        loop {
            let walked = self.shared.state().segments.walk(from.sequence);
            let Some(walked) = walked else { return Ok(page) };
            let first_block = if walked.sequence == from.sequence { from.block } else { 0 };
            for entry in self.entries(&walked)? {
                let block = entry.block;
                if entry.kind != KIND_OBJECT || block < first_block {
                    continue;
                }
                if headers_left == 0 || page.objects.len() >= job.limit.max(1) {
                    let next = Cursor(Position { sequence: walked.sequence, block });
                    page.next = Some(next.to_string());
                    return Ok(page);
                }
                let place = Place { segment: walked.segment, block };
                if let Some(read) = self.read(job, entry.fingerprint, place)? {
                    headers_left -= 1;
                    page.objects.extend(read);
                }
            }
            from = Position { sequence: walked.sequence + 1, block: 0 };
        }
    }

    /// Entries of a segment, in the order of the log.
    fn entries(&self, walked: &Walked) -> io::Result<Vec<Entry>> {
        if let Some(entries) = &walked.entries {
            return Ok(entries.clone());
        }
        let Shared { device, geometry, secret, .. } = &*self.shared;
        let (segment, sequence) = (walked.segment, walked.sequence);
        if let Some(entries) = table::read(&**device, geometry, secret, segment, sequence)? {
            return Ok(entries);
        }
        // The table is lost, so every object is looked at.
        let state = self.shared.state();
        let entry = |fingerprint: Fingerprint| {
            let object = state.index.get(fingerprint)?;
            let (block, kind) = (object.place.block, KIND_OBJECT);
            Some(Entry { fingerprint, checksum: object.checksum, len: object.len, block, kind })
        };
        let mut entries: Vec<Entry> =
            state.index.in_segment(segment).into_iter().filter_map(entry).collect();
        entries.sort_by_key(|entry| entry.block);
        Ok(entries)
    }

    /// Reads the name of the object at a place, if it is still there; what is listed, if it is asked
    /// for.
    fn read(
        &mut self,
        job: &ListJob,
        fingerprint: Fingerprint,
        place: Place,
    ) -> io::Result<Option<Option<Listed>>> {
        let position = {
            let mut state = self.shared.state();
            if state.index.get(fingerprint).is_none_or(|object| object.place != place) {
                return Ok(None);
            }
            state.segments.pin(place.segment);
            state.segments.position(place)
        };
        let offset = self.shared.geometry.offset(place.segment, place.block.into());
        let read = self.shared.device.read_at(offset, &mut self.block);
        self.shared.unpin(place.segment);
        read?;
        let header = Header::decode(&self.shared.secret, position, &self.block);
        let asked = header
            .filter(|header| header.bucket == job.bucket && header.key.starts_with(&job.prefix));
        Ok(Some(asked.and_then(|header| {
            let key = Key::new(header.key).ok()?;
            Some(Listed { key, len: ByteSize::new(header.len) })
        })))
    }
}
