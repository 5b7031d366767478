//! Calls in the queue: bytes that are copied there, and read by the thread that writes the capture.

use kvlease_types::{Caller, Peer};

/// Kind of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Op {
    /// Leases, or a read over HTTP.
    Get,
    /// Leases up to the first key that has none.
    GetPrefix,
    /// Outcome of leases that had to be waited for.
    Late,
    /// A look-up.
    Exists,
    /// A look-up up to the first key that is absent.
    ExistsPrefix,
    Put,
    Remove,
    /// Reads by the published index, as their client reports them.
    Read,
}

impl Op {
    pub(super) const ALL: [Self; 8] = [
        Self::Get,
        Self::GetPrefix,
        Self::Late,
        Self::Exists,
        Self::ExistsPrefix,
        Self::Put,
        Self::Remove,
        Self::Read,
    ];

    /// Its word in the file.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetPrefix => "get_prefix",
            Self::Late => "late",
            Self::Exists => "exists",
            Self::ExistsPrefix => "exists_prefix",
            Self::Put => "put",
            Self::Remove => "remove",
            Self::Read => "read",
        }
    }
}

/// Outcome of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It was there; of a put: it is now.
    Yes,
    /// It was not; of a put: it was refused.
    No,
    /// It may come: it is being written, or a tier has it.
    Pending,
    /// A put of what was there already.
    Known,
    /// It was not looked at, since the prefix had ended before.
    Unasked,
}

impl Answer {
    /// Its character in the file.
    pub(super) const fn character(self) -> u8 {
        match self {
            Self::Yes => b'1',
            Self::No => b'0',
            Self::Pending => b'p',
            Self::Known => b'x',
            Self::Unasked => b'-',
        }
    }
}

/// A key of a call, with what came of it and its length in bytes; zero if that is not known.
pub(super) type Item<'a> = (&'a str, Answer, u64);

/// A call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) op: Op,
    /// When it was answered, in nanoseconds since the begin of the capture.
    pub(super) at: u64,
    pub(super) caller: &'a Caller,
    pub(super) bucket: &'a str,
}

/// A call out of the queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record<'a> {
    pub(super) sequence: u64,
    pub(super) at: u64,
    pub(super) op: Op,
    /// `h` for HTTP, `l` for the fast lane, `d` for the daemon itself.
    pub(super) via: u8,
    /// Numbers of the process, or the machine, that called, and of its connection.
    pub(super) client: u64,
    pub(super) connection: u64,
    pub(super) bucket: &'a str,
    keys: u32,
    items: &'a [u8],
}

/// Bytes before the bucket of a call, and before a key.
const HEAD: usize = 4 + 8 + 8 + 8 + 8 + 1 + 1 + 2 + 4;
const KEY_HEAD: usize = 2 + 1 + 8;

/// Bytes that a call takes in the queue.
pub(super) fn len(bucket: &str, keys: impl Iterator<Item = usize>) -> usize {
    HEAD + bucket.len() + keys.map(|len| KEY_HEAD + len).sum::<usize>()
}

/// Appends a call that takes `len` bytes. Names are at most 2,048 bytes.
pub(super) fn write<'a>(
    out: &mut Vec<u8>,
    call: &Call<'_>,
    (len, sequence, keys): (usize, u64, usize),
    items: impl Iterator<Item = Item<'a>>,
) {
    let via = match call.caller.peer {
        Peer::Http(_) => b'h',
        Peer::Lane { .. } => b'l',
        Peer::Daemon => b'd',
    };
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&(len as u32).to_le_bytes());
    head[4..12].copy_from_slice(&sequence.to_le_bytes());
    head[12..20].copy_from_slice(&call.at.to_le_bytes());
    head[20..28].copy_from_slice(&call.caller.client().to_le_bytes());
    head[28..36].copy_from_slice(&call.caller.connection().to_le_bytes());
    head[36] = call.op as u8;
    head[37] = via;
    head[38..40].copy_from_slice(&(call.bucket.len() as u16).to_le_bytes());
    head[40..].copy_from_slice(&(keys as u32).to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(call.bucket.as_bytes());
    for (key, answer, size) in items {
        let mut head = [0; KEY_HEAD];
        head[..2].copy_from_slice(&(key.len() as u16).to_le_bytes());
        head[2] = answer.character();
        head[3..].copy_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(key.as_bytes());
    }
}

/// The calls in what was written, in the order of their writing.
pub(super) fn records(mut bytes: &[u8]) -> impl Iterator<Item = (Record<'_>, &[u8])> {
    std::iter::from_fn(move || {
        let len = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let (whole, rest) = bytes.split_at(len);
        bytes = rest;
        Some((Record::parse(whole), whole))
    })
}

impl<'a> Record<'a> {
    fn parse(whole: &'a [u8]) -> Self {
        let (head, rest) = whole.split_at(HEAD);
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("8 bytes"));
        let bucket = u16::from_le_bytes([head[38], head[39]]);
        let (bucket, items) = rest.split_at(bucket.into());
        Self {
            sequence: number(4),
            at: number(12),
            client: number(20),
            connection: number(28),
            op: Op::ALL[usize::from(head[36])],
            via: head[37],
            bucket: text(bucket),
            keys: u32::from_le_bytes(head[40..].try_into().expect("4 bytes")),
            items,
        }
    }

    /// Its keys, each with the character of what came of it and its length in bytes.
    pub(super) fn items(&self) -> impl Iterator<Item = (&'a str, u8, u64)> + Clone {
        let mut bytes = self.items;
        (0..self.keys).map(move |_| {
            let (head, rest) = bytes.split_at(KEY_HEAD);
            let (key, rest) = rest.split_at(u16::from_le_bytes([head[0], head[1]]).into());
            bytes = rest;
            (text(key), head[2], u64::from_le_bytes(head[3..].try_into().expect("8 bytes")))
        })
    }
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("it was written as text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_out_as_they_went_in() {
        for (place, op) in Op::ALL.iter().enumerate() {
            assert_eq!(*op as usize, place);
        }
        let lane = Caller::lane(7, 1, 2, None);
        let items =
            [("key", Answer::Yes, 9), ("", Answer::No, 0), ("ключ", Answer::Unasked, 1 << 40)];
        let mut bytes = Vec::new();
        for (sequence, op) in (0_u64..).zip(Op::ALL) {
            let call = Call { op, at: sequence * 10, caller: &lane, bucket: "b" };
            let len = len("b", items.iter().map(|(key, ..)| key.len()));
            let before = bytes.len();
            write(&mut bytes, &call, (len, sequence, items.len()), items.iter().copied());
            assert_eq!(bytes.len() - before, len);
        }
        let mut found = 0;
        for (record, _) in records(&bytes) {
            assert_eq!((record.sequence, record.at), (found, found * 10));
            assert_eq!((record.op as u64, record.via, record.bucket), (found, b'l', "b"));
            assert_eq!((record.client, record.connection), (lane.client(), lane.connection()));
            let keys: Vec<_> = record.items().collect();
            let expected: Vec<_> =
                items.iter().map(|(key, answer, size)| (*key, answer.character(), *size)).collect();
            assert_eq!(keys, expected);
            found += 1;
        }
        assert_eq!(found, Op::ALL.len() as u64);
    }
}
